/** `idle-server.ts PORT`: answers every byte with itself and closes nothing, until it is ended. */
import { createServer } from 'node:net';

const BACKLOG = 4_096;

const server = createServer((socket) => {
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('error', () => socket.destroy());
});
server.listen({ port: Number(process.argv[2]), host: '0.0.0.0', backlog: BACKLOG }, () => {
  console.log('listening');
});
