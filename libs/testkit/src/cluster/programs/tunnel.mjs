/**
 * Opens a tunnel as a proxy of the mesh does, with the certificate and the roots that it is given, and prints what came of it.
 * Reads JSON from standard input: address, authority, key, cert, ca. Prints JSON: the `status` of CONNECT, or an `error`.
 */
import { connect } from 'node:http2';
import { text } from 'node:stream/consumers';

const TIMEOUT_MS = 5_000;
const { address, authority, ...credentials } = JSON.parse(await text(process.stdin));
let result = { error: 'CLOSED' };

// Identities are URIs; whoever wants to look at them has to do so itself.
const session = connect(`https://${address}`, {
  ...credentials,
  checkServerIdentity: () => undefined,
});
const fail = ({ code, message }) => {
  result = { error: code ?? message };
};
session.on('close', () => process.stdout.write(JSON.stringify(result), () => process.exit(0)));
session.setTimeout(TIMEOUT_MS, () => session.destroy(new Error('TIMEOUT')));
const stream = session.request({ ':method': 'CONNECT', ':authority': authority });
stream.on('error', fail).on('close', () => session.destroy());
// After the error of its stream, and it says why.
session.on('error', fail);
stream.on('response', (headers) => {
  result = { status: headers[':status'] };
  session.destroy();
});
