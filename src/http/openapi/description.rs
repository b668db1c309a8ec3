//! What a handler says of itself beyond what the code around it shows: a summary, which structs it reads and writes, and in
//! which ways of its own it says no.

use crate::domain::Refusal;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Content, Ref, RefOr, Required};

/// The chapters of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Tag {
    Account,
    ApiKeys,
    Providers,
    Connecting,
    Tokens,
    Connections,
    Events,
    Audit,
    Pages,
}

impl Tag {
    pub(super) const ALL: &'static [Self] = &[
        Self::Account,
        Self::ApiKeys,
        Self::Providers,
        Self::Connecting,
        Self::Tokens,
        Self::Connections,
        Self::Events,
        Self::Audit,
        Self::Pages,
    ];

    /// Its name, and what it is about.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Account => ("account", "Signing up, and showing that the address is one's own."),
            Self::ApiKeys => ("api keys", "What your backend calls with."),
            Self::Providers => ("providers", "What can be connected, and your own registrations there."),
            Self::Connecting => ("connecting", "The journey of an end user to a provider and back."),
            Self::Tokens => ("tokens", "The one question: a working access token."),
            Self::Connections => ("connections", "What end users have connected."),
            Self::Events => ("events", "What happened to connections and integrations."),
            Self::Audit => ("audit", "What was done in your name, by whom, and how it ended."),
            Self::Pages => ("pages", "Documents, and what pages need."),
        }
    }
}

/// What a handler says of itself.
pub(in crate::http) struct Description {
    pub(super) tag: Tag,
    pub(super) summary: &'static str,
    pub(super) detail: &'static str,
    pub(super) parameters: Vec<Parameter>,
    /// The component that its body is, and the schema of it.
    pub(super) body: Option<(String, Object)>,
    pub(super) body_required: bool,
    pub(super) answers: Vec<(u16, Response)>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Description {
    /// Under that tag, in one line.
    pub(in crate::http) fn new(tag: Tag, summary: &'static str) -> Self {
        Self {
            tag,
            summary,
            detail: "",
            parameters: Vec::new(),
            body: None,
            body_required: true,
            answers: Vec::new(),
            refusals: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// What a caller should know besides.
    pub(in crate::http) fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    /// A parameter of the path.
    pub(in crate::http) fn path<T: ToSchema>(mut self, name: &str, description: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(self.known::<T>()));
        self.parameters.push(parameter.build());
        self
    }

    /// The parameters of the query: the fields of `T`.
    pub(in crate::http) fn query<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        let RefOr::T(Schema::Object(fields)) = T::schema() else { return self };
        for (name, schema) in &fields.properties {
            let required = if fields.required.contains(name) { Required::True } else { Required::False };
            let schema = without_null(schema.clone());
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(required)
                .description(Some(described(&schema)))
                .schema(Some(schema));
            self.parameters.push(parameter.build());
        }
        self
    }

    /// A header of the request.
    pub(in crate::http) fn header(mut self, name: &str, description: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(Object::with_type(Type::String)));
        self.parameters.push(parameter.build());
        self
    }

    /// The fields of the body, in either media type.
    pub(in crate::http) fn body<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        if let RefOr::T(Schema::Object(fields)) = T::schema() {
            self.body = Some((T::name().into_owned(), fields));
        }
        self
    }

    /// The same where the body may be left out.
    pub(in crate::http) fn body_if_any<T: ToSchema>(self) -> Self {
        Self { body_required: false, ..self.body::<T>() }
    }

    /// An answer in JSON.
    pub(in crate::http) fn answers<T: ToSchema>(mut self, status: u16, description: &str) -> Self {
        let schema = self.known::<T>();
        self.say(status, description, "application/json", schema)
    }

    /// An answer in JSON that is described elsewhere.
    pub(in crate::http) fn object(self, description: &str) -> Self {
        self.say(200, description, "application/json", Object::with_type(Type::Object))
    }

    /// An answer that is one page of a list of these.
    pub(in crate::http) fn lists<T: ToSchema>(mut self, description: &str) -> Self {
        let item = self.known::<T>();
        let cursor =
            ObjectBuilder::from(Object::with_type(SchemaType::from_iter([Type::String, Type::Null])))
                .description(Some("Where the next page begins; null on the last one."));
        let page = ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(item).description(Some("The things listed.")))
            .property("next_cursor", cursor)
            .required("items")
            .required("next_cursor");
        self.say(200, description, "application/json", page)
    }

    /// A page for people.
    pub(in crate::http) fn page(self, description: &str) -> Self {
        self.text(description, "text/html")
    }

    /// A text that is no JSON.
    pub(in crate::http) fn text(self, description: &str, media_type: &str) -> Self {
        self.say(200, description, media_type, Object::with_type(Type::String))
    }

    /// An answer without a body.
    pub(in crate::http) fn empty(mut self, status: u16, description: &str) -> Self {
        self.answers.push((status, Response::new(description)));
        self
    }

    /// On to another address.
    pub(in crate::http) fn sends_on(mut self, description: &str, to: &str) -> Self {
        let uri = ObjectBuilder::from(Object::with_type(Type::String))
            .format(Some(SchemaFormat::Custom("uri".to_owned())));
        let location = HeaderBuilder::new().schema(Some(uri)).description(Some(to)).build();
        let response = ResponseBuilder::new().description(description).header("Location", location);
        self.answers.push((303, response.build()));
        self
    }

    /// A header of the answers so far.
    pub(in crate::http) fn with_header(mut self, name: &str, description: &str) -> Self {
        for (_, response) in &mut self.answers {
            let text = Object::with_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
        self
    }

    /// The ways of its own to say no, each as it would be said. Those that go with the route's access are added.
    pub(in crate::http) fn refuses(mut self, refusals: impl IntoIterator<Item = Refusal>) -> Self {
        self.refusals.extend(refusals);
        self
    }

    /// A component, and all that it names.
    fn known<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name()).into()
    }

    fn say(
        mut self,
        status: u16,
        description: &str,
        media_type: &str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let content: Content = ContentBuilder::new().schema(Some(schema)).build();
        if let Some((_, response)) = self.answers.iter_mut().find(|(known, _)| *known == status) {
            response.content.insert(media_type.to_owned(), RefOr::T(content));
        } else {
            let response = ResponseBuilder::new().description(description).content(media_type, content);
            self.answers.push((status, response.build()));
        }
        self
    }
}

/// Queries and forms have no null: what may be left out is left out.
pub(super) fn without_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::OneOf(mut choice)) => match choice.items.len() {
            2 => choice.items.swap_remove(0),
            _ => RefOr::T(Schema::OneOf(choice)),
        },
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &object.schema_type
                && let Some(first) = types.first()
            {
                object.schema_type = SchemaType::Type(first.clone());
            }
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

/// The words of a schema.
fn described(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => reference.description.clone(),
        RefOr::T(Schema::Object(object)) => object.description.clone().unwrap_or_default(),
        RefOr::T(_) => String::new(),
    }
}
