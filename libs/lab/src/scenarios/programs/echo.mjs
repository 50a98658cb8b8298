/**
 * The server of the scenarios. One process, four ports:
 * 8080 HTTP/1.1 and HTTP/2 (prior knowledge), WebSocket echo by upgrade, gRPC-shaped answers with trailers
 * 9000 TCP echo, half-close kept · 9001 TCP that speaks first · 9002 TCP that sends 64 MiB and ends
 *
 * HTTP answers are JSON about the request. Query: `status=503`, `delay=MS` (both with `only=VERSION` for that version
 * alone), `fail=N` (the first N of a `key` get 503), `count=KEY` (counted here), `peek=KEY` (shows what was counted);
 * `stream` sends the body back as it comes instead.
 */
import { createHash } from 'node:crypto';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createTcp } from 'node:net';

const POD = process.env.POD_NAME ?? '';
const VERSION = process.env.VERSION ?? 'v1';
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0');
const failures = new Map();
/** By key: how many came, and the host that the last one asked for. */
const counted = new Map();

function describe(request, body, counts) {
  return {
    ...counts,
    pod: POD,
    version: VERSION,
    from: request.socket.remoteAddress?.replace(/^::ffff:/, ''),
    method: request.method,
    path: request.url,
    authority: request.headers[':authority'] ?? request.headers.host,
    http: request.httpVersion,
    headers: Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !name.startsWith(':')),
    ),
    body,
  };
}

function count(request, url) {
  const key = url.searchParams.get('count');
  if (key !== null) {
    const host = request.headers[':authority'] ?? request.headers.host;
    counted.set(key, { seen: (counted.get(key)?.seen ?? 0) + 1, host });
  }
  return counted.get(key ?? url.searchParams.get('peek')) ?? { seen: 0 };
}

/** Whether `status` and `delay` are for this version. */
function isMeant(url) {
  return (url.searchParams.get('only') ?? VERSION) === VERSION;
}

function statusOf(url) {
  const failing = Number(url.searchParams.get('fail') ?? 0);
  if (failing > 0) {
    const key = url.searchParams.get('key') ?? '';
    const seen = (failures.get(key) ?? 0) + 1;
    failures.set(key, seen);
    return seen <= failing ? 503 : 200;
  }
  return isMeant(url) ? Number(url.searchParams.get('status') ?? 200) : 200;
}

function handle(request, response) {
  const url = new URL(request.url, 'http://echo');
  if (url.searchParams.has('stream')) {
    response.writeHead(200, { 'x-version': VERSION }).flushHeaders();
    request.on('error', () => response.destroy()).pipe(response);
    return;
  }
  let body = '';
  request.setEncoding('utf8').on('data', (text) => {
    body += text;
  });
  const counts = count(request, url);
  request.on('end', () => {
    setTimeout(
      () => {
        if (request.headers['content-type'] === 'application/grpc') {
          answerGrpc(request, response);
          return;
        }
        response.writeHead(statusOf(url), {
          'content-type': 'application/json',
          'x-version': VERSION,
          'x-secret': 'of-the-server',
        });
        response.end(JSON.stringify(describe(request, body, counts)));
      },
      isMeant(url) ? Number(url.searchParams.get('delay') ?? 0) : 0,
    );
  });
}

const HEALTH_CHECK = '/grpc.health.v1.Health/Check';
/** `HealthCheckResponse{status: SERVING}`, framed. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

/** One message with an empty length-prefixed frame, then the status as trailers. */
function answerGrpc(request, response) {
  response.writeHead(200, { 'content-type': 'application/grpc', 'x-version': VERSION });
  response.write(request.url === HEALTH_CHECK ? SERVING : Buffer.from([0, 0, 0, 0, 0]));
  response.addTrailers({ 'grpc-status': '0', 'x-pod': POD, 'x-path': request.url });
  response.end();
}

function upgrade(request, socket) {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nx-version: ${VERSION}\r\n\r\n`,
  );
  // Bytes are bytes to a mesh: what comes after the upgrade is echoed as it is.
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}

const http1 = createHttp(handle);
// A connection that the application closes while it is idle may get a request at that moment, and on a busy machine the moment is
// long: loads would count that as a failure of the mesh.
http1.keepAliveTimeout = 0;
http1.on('upgrade', upgrade);
const http2 = createHttp2(handle);

/** Tells the two versions apart by the first bytes. */
const web = createTcp({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (first) => {
    socket.pause();
    socket.unshift(first);
    const isHttp2 = first.subarray(0, HTTP2_PREFACE.length).equals(HTTP2_PREFACE);
    (isHttp2 ? http2 : http1).emit('connection', socket);
    process.nextTick(() => socket.resume());
  });
});

const echo = createTcp({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('end', () => socket.end(`bye ${POD} ${socket.remoteAddress?.replace(/^::ffff:/, '')}`));
});

const first = createTcp({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`hello from ${POD}\n`);
  socket.pipe(socket);
});

const large = createTcp({ allowHalfOpen: true }, (socket) => {
  const chunk = Buffer.alloc(1 << 20, 'x');
  let left = 64;
  const push = () => {
    while (left > 0) {
      left -= 1;
      if (!socket.write(chunk)) {
        return;
      }
    }
    socket.end();
  };
  socket.on('error', () => socket.destroy());
  socket.on('drain', push);
  push();
});

web.listen(8080, '::');
echo.listen(9000, '::');
first.listen(9001, '::');
large.listen(9002, '::');
process.on('SIGTERM', () => process.exit(0));
