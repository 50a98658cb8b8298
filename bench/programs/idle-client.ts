/** `idle-client.ts ADDRESS PORT COUNT`: opens connections, has one byte answered on each, and keeps them until ended. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** At once; more overruns a backlog of 128. */
const OPENING_MAX = 64;

const [address = '', port = '', count = ''] = process.argv.slice(2);
const open: Socket[] = [];
let left = Number(count);

async function openSome(): Promise<void> {
  while (left > 0) {
    left -= 1;
    const socket = connect(Number(port), address);
    await once(socket, 'connect');
    socket.write('x');
    await once(socket, 'data');
    socket.once('close', () => {
      console.error('a connection was closed by the other side');
      process.exit(1);
    });
    open.push(socket);
  }
}

await Promise.all(Array.from({ length: OPENING_MAX }, openSome));
console.log(`open ${open.length}`);
