/**
 * Makes the token that a node-agent or waypoint proves itself with, where no Kubernetes API server does it.
 *
 * Usage: node token.mjs --key DIR --namespace NS --account SA --pod NAME --uid UID --node NODE [--hours 24] > token
 *
 * Pod, uid and node are those of the Pod object that the controller reads; a token that names another is refused.
 * DIR holds `key.pem` (private: whoever has it is every agent) and `jwks.json` (for the controller's
 * AMBIT_TOKEN_JWKS); both are made when missing. Programs read their token again each time they use it, so a timer
 * that runs this before the token ends is all that renewal needs.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  sign,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    key: { type: 'string' },
    namespace: { type: 'string' },
    account: { type: 'string' },
    pod: { type: 'string' },
    uid: { type: 'string' },
    node: { type: 'string' },
    hours: { type: 'string', default: '24' },
  },
});

const missing = ['key', 'namespace', 'account', 'pod', 'uid', 'node'].filter(
  (name) => !values[name],
);
const hours = Number(values.hours);
if (missing.length > 0 || !(hours > 0 && hours <= 8760)) {
  const what = missing.length > 0 ? `missing --${missing.join(', --')}` : '--hours wants 0 to 8760';
  process.stderr.write(`token: ${what}\n`);
  process.exit(2);
}

const KEY_ID = 'ambit-standalone';

function signingKey(folder) {
  const file = join(folder, 'key.pem');
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  const key = createPrivateKey(readFileSync(file));
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const keys = [{ ...jwk, kid: KEY_ID, use: 'sig', alg: 'ES256' }];
  const jwks = join(folder, 'jwks.json');
  writeFileSync(`${jwks}.new`, JSON.stringify({ keys }), { mode: 0o644 });
  renameSync(`${jwks}.new`, jwks);
  return key;
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const key = signingKey(values.key);
const now = Math.floor(Date.now() / 1000);
const body = [
  part({ alg: 'ES256', kid: KEY_ID, typ: 'JWT' }),
  part({
    iss: 'ambit-standalone',
    sub: `system:serviceaccount:${values.namespace}:${values.account}`,
    aud: ['istio-ca'],
    iat: now,
    nbf: now,
    exp: now + Math.round(hours * 3600),
    jti: randomUUID(),
    'kubernetes.io': {
      namespace: values.namespace,
      serviceaccount: { name: values.account },
      pod: { name: values.pod, uid: values.uid },
      node: { name: values.node },
    },
  }),
].join('.');
const signature = sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' });
process.stdout.write(`${body}.${signature.toString('base64url')}`);
