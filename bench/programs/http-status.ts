/** `http-status.ts 1|2 URL HEADERS`: sends one GET (HTTP/2 with prior knowledge) and prints the status of the answer. */
import { request } from 'node:http';
import { connect } from 'node:http2';

const TIMEOUT_MS = 5_000;
const [version = '1', url = '', headerText = '{}'] = process.argv.slice(2);
const headers = JSON.parse(headerText) as Record<string, string>;
setTimeout(() => process.exit(1), TIMEOUT_MS).unref();

function finish(status: unknown): void {
  console.log(`status ${String(status)}`);
  process.exit(0);
}

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}

if (version === '2') {
  const { Host: authority = '', ...rest } = headers;
  const session = connect(url).on('error', fail);
  const path = new URL(url).pathname;
  const stream = session.request({ ':path': path, ':authority': authority, ...rest });
  stream.on('error', fail).on('response', (answer) => finish(answer[':status']));
} else {
  request(url, { headers, agent: false }, (answer) => finish(answer.statusCode))
    .on('error', fail)
    .end();
}
