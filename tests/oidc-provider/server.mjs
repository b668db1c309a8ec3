// The npm package oidc-provider, a certified authorization server that nobody here wrote, set up strictly: PKCE, `iss`
// in the response, refresh tokens that rotate, access tokens that live for seconds. Everything is kept in memory.
//
//   node server.mjs FOLDER ACCESS_TOKEN_SECONDS
//
// FOLDER holds node_modules. It listens on a port of its own choosing and prints `ready <issuer>`; everything else that
// it and the package have to say goes to stderr. Clients register themselves (RFC 7591).
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

console.info = console.log = console.error;
const [folder, seconds] = process.argv.slice(2);
const installed = createRequire(resolve(folder, 'package.json')).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(installed));

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  claims: { openid: ['sub'], profile: ['name'] },
  clientDefaults: {
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  },
  // Fifteen seconds otherwise, for which dead tokens live on.
  clockTolerance: 0,
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  features: {
    // Pages with plain forms: any login and password will do, then the consent.
    devInteractions: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_, login) => ({
    accountId: login,
    claims: () => ({ sub: login, name: `The account of ${login}` }),
  }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: Number(seconds),
    AuthorizationCode: 60,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 3600,
  },
});
server.on('request', provider.callback());
process.stdout.write(`ready ${issuer}\n`);
