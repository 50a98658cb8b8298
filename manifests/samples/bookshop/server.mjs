/**
 * One service of the bookshop. Answers every path with JSON: who it is, who called it, and what its own calls said.
 *
 * Usage: node server.mjs --name reviews --version v2 [--port 9080] [--call NAME=URL]…
 * A call that fails is part of the answer, so that a page with a broken part is still a page.
 */
import { Agent, createServer, request } from 'node:http';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'service' },
    version: { type: 'string', default: 'v1' },
    port: { type: 'string', default: '9080' },
    call: { type: 'string', multiple: true, default: [] },
  },
});

const calls = values.call.map((text) => {
  const at = text.indexOf('=');
  return { name: text.slice(0, at), url: text.slice(at + 1) };
});
const agent = new Agent({ keepAlive: true });

/** What tracing and routing need to see at every hop. */
const FORWARDED = [
  'x-request-id',
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-sampled',
  'end-user',
  'user-agent',
  'cookie',
];
const CALL_TIMEOUT_MS = 5_000;

function forwardedHeaders(headers) {
  return Object.fromEntries(
    FORWARDED.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]),
  );
}

/** The identity that the mesh vouches for: `URI=` of the last element of x-forwarded-client-cert. */
function callerOf(header) {
  const last = String(header ?? '')
    .split(',')
    .at(-1);
  return /(?:^|;)URI=([^;]*)/i.exec(last)?.[1] ?? null;
}

function call({ url }, headers) {
  return new Promise((resolve) => {
    const outgoing = request(url, { agent, headers, timeout: CALL_TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode !== 200) {
          resolve({ status: response.statusCode, error: text.trim().slice(0, 200) });
          return;
        }
        try {
          resolve(JSON.parse(text));
        } catch {
          resolve({ status: 200, error: 'the answer is not JSON' });
        }
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
    outgoing.on('error', (error) => resolve({ status: 0, error: error.code ?? error.message }));
    outgoing.end();
  });
}

async function answer(incoming, response) {
  const headers = forwardedHeaders(incoming.headers);
  const results = await Promise.all(calls.map((one) => call(one, headers)));
  const body = {
    service: values.name,
    version: values.version,
    pod: process.env.POD_NAME ?? '',
    caller: callerOf(incoming.headers['x-forwarded-client-cert']),
    from: incoming.socket.remoteAddress,
    method: incoming.method,
    path: incoming.url,
    ...(values.name === 'ratings' ? { stars: [5, 4] } : {}),
    ...(values.name === 'details' ? { title: 'The Comedy of Errors', pages: 200 } : {}),
    ...Object.fromEntries(calls.map(({ name }, i) => [name, results[i]])),
  };
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-served-by': `${values.name}-${values.version}`,
  });
  response.end(text);
}

const server = createServer((incoming, response) => {
  incoming.resume();
  if (incoming.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  void answer(incoming, response);
});
server.listen(Number(values.port), '::', () => {
  console.log(`${values.name} ${values.version} listens on ${values.port}`);
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
