//! The document as a whole, put together from the route table and what handlers say of themselves.

use super::description::{Description, Tag, without_null};
use super::refusals::{self, Refused};
use crate::http::handlers;
use crate::http::problem::Problem;
use crate::http::routes::{Access, Route, RouteName};
use actix_web::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::encoding::EncodingBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterStyle, PathsBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, Header, OpenApiBuilder, PathItem, Ref, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

const ABOUT: &str = "Grantkeep keeps the grants that end users of a product gave at other services, and hands out working \
    access tokens. Every refusal is an RFC 9457 problem with a stable `code`; routes for browsers refuse with a page, unless \
    the request accepts `application/json` and no `text/html`. A path that is not here answers 404 `not_found`. `HEAD` is \
    answered where `GET` is, but for browsers' routes.";

const REQUEST_ID: &str = "RequestId";

const FORM: &str = "application/x-www-form-urlencoded";

/// The document of these routes.
pub(super) fn of(routes: &[Route]) -> Value {
    let mut shared = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut shared);
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(shared)
        .header(REQUEST_ID, request_id())
        .security_scheme("api_key", api_key())
        .security_scheme("password", password());
    let mut paths = PathsBuilder::new();
    for route in routes {
        let Some(method) = method(&route.method) else { continue };
        let mut description = handlers::described(route.name);
        for (name, schema) in std::mem::take(&mut description.schemas) {
            components = components.schema(name, schema);
        }
        let body = description.body.take().map(|(name, fields)| {
            let fields =
                if asked_of_callers(route.access).is_some() { with_credentials(fields) } else { fields };
            let required = description.body_required;
            Body { form: as_form(&fields), form_name: format!("{name}AsForm"), name, fields, required }
        });
        if let Some(body) = &body {
            components = components.schema(&body.name, RefOr::T(Schema::Object(body.fields.clone())));
            components = components.schema(&body.form_name, RefOr::T(Schema::Object(body.form.clone())));
        }
        let refusals = refusals::of(route, &description.refusals);
        for refused in &refusals {
            if let Some(name) = &refused.shared {
                components = components.response(name.clone(), with_request_id(refused.response.clone()));
            }
        }
        paths = paths
            .path(route.path, PathItem::new(method, operation(route, description, body.as_ref(), refusals)));
    }
    let info = InfoBuilder::new()
        .title("Grantkeep")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT or Apache-2.0")
                .identifier(Some(env!("CARGO_PKG_LICENSE")))
                .build(),
        ));
    let tags = Tag::ALL
        .iter()
        .map(|tag| TagBuilder::new().name(tag.words().0).description(Some(tag.words().1)).build());
    let document = OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .tags(Some(tags))
        .build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.insert("servers".to_owned(), json!([{ "url": "/" }]));
    }
    require_headers(&mut document);
    document
}

/// The scopes that a caller must have; none where nobody need prove who calls.
fn asked_of_callers(access: Access) -> Option<Vec<&'static str>> {
    match access {
        Access::Public | Access::Browser => None,
        Access::Caller(scope) => Some(vec![scope.as_str()]),
        Access::AnyCaller => Some(Vec::new()),
    }
}

fn method(of: &Method) -> Option<HttpMethod> {
    match *of {
        Method::GET => Some(HttpMethod::Get),
        Method::POST => Some(HttpMethod::Post),
        Method::PUT => Some(HttpMethod::Put),
        Method::PATCH => Some(HttpMethod::Patch),
        Method::DELETE => Some(HttpMethod::Delete),
        _ => None,
    }
}

/// `CreateApiKey` as `createApiKey`.
pub(super) fn operation_id(name: RouteName) -> String {
    let name = format!("{name:?}");
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn operation(route: &Route, told: Description, body: Option<&Body>, refusals: Vec<Refused>) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(route.name)))
        .tag(told.tag.words().0)
        .summary(Some(told.summary))
        .description(Some(detail(route.access, told.detail)))
        .request_body(body.map(Body::request));
    for parameter in told.parameters {
        operation = operation.parameter(parameter);
    }
    if let Some(scopes) = asked_of_callers(route.access) {
        operation = operation
            .security(SecurityRequirement::new("api_key", scopes))
            .security(SecurityRequirement::new::<_, [&str; 0], &str>("password", []));
    }
    for (status, response) in told.answers {
        operation = operation.response(status.to_string(), with_request_id(response));
    }
    for refused in refusals {
        let response = match refused.shared {
            Some(name) => RefOr::Ref(Ref::from_response_name(name)),
            None => RefOr::T(with_request_id(refused.response)),
        };
        operation = operation.response(refused.status.to_string(), response);
    }
    operation.build()
}

fn request_id() -> Header {
    let words = "The id under which the log has this request: the one it came with, or a new one.";
    HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(words)).build()
}

/// Every answer has one.
fn with_request_id(mut response: Response) -> Response {
    let id = Ref::new(format!("#/components/headers/{REQUEST_ID}"));
    response.headers.insert("x-request-id".to_owned(), RefOr::Ref(id));
    response
}

fn detail(access: Access, told: &str) -> String {
    let access = match access {
        Access::Public => "For everybody.".to_owned(),
        Access::Browser => "For a person's browser: refusals are pages.".to_owned(),
        Access::Caller(scope) => format!("Scope `{}`.", scope.as_str()),
        Access::AnyCaller => "Any scope.".to_owned(),
    };
    format!("{access} {told}").trim().to_owned()
}

/// The fields of a body, as JSON and as a form.
struct Body {
    name: String,
    fields: Object,
    form_name: String,
    form: Object,
    required: bool,
}

impl Body {
    fn request(&self) -> RequestBody {
        let json = ContentBuilder::new().schema(Some(Ref::from_schema_name(&self.name)));
        let mut form = ContentBuilder::new().schema(Some(Ref::from_schema_name(&self.form_name)));
        for (name, field) in &self.form.properties {
            if matches!(field, RefOr::T(Schema::Object(object)) if object.schema_type == Type::Object.into())
            {
                let encoding =
                    EncodingBuilder::new().style(Some(ParameterStyle::DeepObject)).explode(Some(true));
                form = form.encoding(name, encoding.build());
            }
        }
        RequestBodyBuilder::new()
            .required(Some(if self.required { Required::True } else { Required::False }))
            .description(Some(
                "In a form a list is a field given several times, and a member of an object is `name[member]` or \
                 `name.member`.",
            ))
            .content("application/json", json.build())
            .content(FORM, form.build())
            .build()
    }
}

/// The same fields where there is no null.
fn as_form(fields: &Object) -> Object {
    let mut form = fields.clone();
    for field in form.properties.values_mut() {
        *field = without_null(field.clone());
    }
    form
}

/// What a body may hold in place of an `Authorization` header.
fn with_credentials(mut fields: Object) -> Object {
    for (name, words) in [
        (
            "username",
            "The owner's e-mail address, where there is no Authorization header; goes with `password`.",
        ),
        ("password", "The owner's password, where there is no Authorization header; goes with `username`."),
    ] {
        let text = SchemaType::from_iter([Type::String, Type::Null]);
        let field = ObjectBuilder::from(Object::with_type(text)).description(Some(words)).build();
        fields.properties.insert(name.to_owned(), RefOr::T(Schema::Object(field)));
    }
    fields
}

fn api_key() -> SecurityScheme {
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("gk_<tenant>_<id>_<secret><checksum>")
        .description(Some("An API key, limited to its scopes, providers, networks and expiry."));
    SecurityScheme::Http(key.build())
}

fn password() -> SecurityScheme {
    let mut basic = Http::new(HttpAuthScheme::Basic);
    basic.description = Some(
        "The tenant's owner, by address and password; may do everything. The fields `username` and `password` of a body say \
         the same; a header wins over them."
            .to_owned(),
    );
    SecurityScheme::Http(basic)
}

/// Every header that is described is always there, but for those of rates that may not be set; the builder of headers cannot
/// say so.
fn require_headers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::Object(headers) if name == "headers" => {
                        let always = headers.iter_mut().filter(|(name, _)| !name.starts_with("RateLimit"));
                        let headers = always.filter_map(|(_, header)| header.as_object_mut());
                        for header in headers.filter(|header| !header.contains_key("$ref")) {
                            header.insert("required".to_owned(), true.into());
                        }
                    }
                    member => require_headers(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(require_headers),
        _ => {}
    }
}
