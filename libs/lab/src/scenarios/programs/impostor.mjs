/** A server of tunnels where an agent should be, with whatever certificate a test brings: echoes what comes, and counts it. */
import { createSecureServer } from 'node:http2';

const PORT = 15_008;
const sessions = new Set();
let server;
let opened = 0;

/** Whoever dials from now on meets this certificate: no session from before is left, and no ticket. */
export async function show({ certificate, key }) {
  await hide();
  server = createSecureServer({ cert: certificate, key, minVersion: 'TLSv1.3' });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => session.destroy());
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream) => {
    opened += 1;
    stream.on('error', () => stream.destroy());
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  await new Promise((resolve) => server.listen(PORT, '::', resolve));
  return {};
}

/** How many tunnels were opened here so far. */
export function tunnels() {
  return { opened };
}

async function hide() {
  if (server !== undefined) {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const session of sessions) session.destroy();
    await closed;
  }
}
