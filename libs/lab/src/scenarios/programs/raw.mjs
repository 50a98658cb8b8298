/** Sends bytes (hexadecimal) to an address and port, and prints what comes back until the end, or "nothing" for none. */
import { connect } from 'node:net';

const [host, port, bytes] = process.argv.slice(2);
let heard = '';
const socket = connect({ host, port: Number(port), timeout: 5_000 });
socket.on('data', (chunk) => {
  heard += chunk.toString('latin1');
});
socket.on('timeout', () => socket.destroy());
socket.on('error', () => socket.destroy());
socket.on('close', () => process.stdout.write(heard === '' ? 'nothing' : heard));
socket.write(Buffer.from(bytes, 'hex'));
