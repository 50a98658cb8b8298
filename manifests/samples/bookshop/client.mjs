/**
 * A small curl for pods, because machines may lack it.
 *
 * Usage: node client.mjs [-X METHOD] [-H 'name: value']… [-d BODY] [-i] [-n COUNT [-c PARALLEL] [--by PATH] [--json]] URL
 *        node client.mjs --wait          does nothing, for a pod to run commands in
 *
 * Without -n it prints the body; with -n it counts answers by status and by a field of the JSON body (default
 * `version`). Every request is a new connection unless --keep-alive. Exit code 0 when all answers were 2xx or 3xx,
 * 22 when some were not, 7 when there was no answer.
 */
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    method: { type: 'string', short: 'X', default: 'GET' },
    header: { type: 'string', short: 'H', multiple: true, default: [] },
    data: { type: 'string', short: 'd' },
    include: { type: 'boolean', short: 'i', default: false },
    count: { type: 'string', short: 'n', default: '1' },
    parallel: { type: 'string', short: 'c', default: '10' },
    by: { type: 'string', default: 'version' },
    json: { type: 'boolean', default: false },
    'keep-alive': { type: 'boolean', default: false },
    timeout: { type: 'string', default: '10' },
    wait: { type: 'boolean', default: false },
  },
});

const EXIT_NO_ANSWER = 7;
const EXIT_REFUSED = 22;

function headersOf() {
  return Object.fromEntries(
    values.header.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

const agent = new Agent({ keepAlive: values['keep-alive'] });

/** Never rejects: no answer is status 0 with the error's code as body. */
function send(url) {
  return new Promise((resolve) => {
    const none = (error) => resolve({ status: 0, headers: {}, body: error.code ?? error.message });
    const options = {
      method: values.method,
      headers: headersOf(),
      agent,
      timeout: Number(values.timeout) * 1000,
    };
    const outgoing = request(url, options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', none);
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
    outgoing.on('error', none);
    outgoing.end(values.data);
  });
}

/** `reviews.version` of `{"reviews": {"version": "v2"}}`. */
function fieldOf(body, path) {
  try {
    return path.split('.').reduce((value, key) => value?.[key], JSON.parse(body));
  } catch {
    return undefined;
  }
}

function countUp(counts, key) {
  counts[key] = (counts[key] ?? 0) + 1;
}

async function sendMany(url, total) {
  const tally = { total, statuses: {}, fields: {}, errors: {} };
  let left = total;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const { status, body } = await send(url);
      countUp(tally.statuses, status);
      if (status >= 200 && status < 400) {
        countUp(tally.fields, fieldOf(body, values.by) ?? 'none');
      } else {
        countUp(tally.errors, body.trim().slice(0, 120));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(Number(values.parallel), total) }, worker));
  return tally;
}

function show(tally) {
  for (const [title, counts] of [
    ['status', tally.statuses],
    [values.by, tally.fields],
    ['error', tally.errors],
  ]) {
    for (const [key, count] of Object.entries(counts)) {
      console.log(`${title} ${key}: ${count}`);
    }
  }
}

function exitCodeOf(statuses) {
  if (statuses.includes(0)) {
    return EXIT_NO_ANSWER;
  }
  return statuses.every((status) => status >= 200 && status < 400) ? 0 : EXIT_REFUSED;
}

async function main() {
  const [url] = positionals;
  if (values.wait) {
    process.on('SIGTERM', () => process.exit(0));
    setInterval(() => {}, 1 << 30);
    return;
  }
  if (url === undefined) {
    console.error('client: no URL');
    process.exitCode = 2;
    return;
  }
  if (Number(values.count) > 1) {
    const tally = await sendMany(url, Number(values.count));
    if (values.json) {
      console.log(JSON.stringify(tally));
    } else {
      show(tally);
    }
    process.exitCode = exitCodeOf(Object.keys(tally.statuses).map(Number));
    return;
  }
  const { status, headers, body } = await send(url);
  if (values.include) {
    console.log(`HTTP ${status}`);
    for (const [name, value] of Object.entries(headers)) {
      console.log(`${name}: ${value}`);
    }
    console.log();
  }
  process.stdout.write(body.endsWith('\n') ? body : `${body}\n`);
  process.exitCode = exitCodeOf([status]);
}

await main();
