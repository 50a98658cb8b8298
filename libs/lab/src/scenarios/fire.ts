/** What the tests under fire share: a lab for a suite, and lines through memory. Imported by tests only. */
import assert from 'node:assert/strict';
import { after, before, type TestContext } from 'node:test';
import type { Lab } from '../lab.ts';
import { admin, type Bed, makeBed, tailOfLogs } from './bed.ts';
import type { Caller, HttpCall } from './caller.ts';

export const SOAK_MS = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 1) * 60_000;
export const URL = 'http://web.shop/';

export const REQUESTS = 1_000_000;
const BATCH = 10_000;
const PARALLEL = 32;
const BATCHES_MIN = 4;
/** A line through few points says nothing. */
const REQUESTS_TO_JUDGE = REQUESTS / 4;
const SNAPSHOT_MS_MAX = 120_000;
/** Until threads without work have given back what the last burst left; they rest for 10 s between two times. */
const SETTLE_MS = 16_000;
const MEGABYTE = 1_024 * 1_024;

export interface World {
  readonly bed: () => Bed;
  readonly client: () => Caller;
}

/** A lab with this YAML for the tests of a suite; `shop/client` is in it and reaches `URL`. */
export function world(text: string, options: Parameters<typeof makeBed>[1] = {}): World {
  let bed: Bed | undefined;
  let client: Caller | undefined;
  before(async () => {
    bed = await makeBed(text, options);
    client = bed.caller('shop/client');
    await client.echo(URL);
  });
  after(async () => await bed?.[Symbol.asyncDispose]());
  const need = <T>(value: T | undefined): T => {
    assert.ok(value !== undefined);
    return value;
  };
  return { bed: () => need(bed), client: () => need(client) };
}

/** A kind of request, and how many of a batch are such. */
export interface Share {
  readonly of: number;
  readonly request: HttpCall;
  readonly protocol?: 'http' | 'http2';
}

/** Something whose memory is looked at, after every batch if nothing else is said. */
export interface Held {
  readonly name: string;
  readonly megabytes: () => number | Promise<number>;
  readonly everyRequests?: number;
  /** Looked at when nothing has been asked for a while: what a burst left is none of what is kept. */
  readonly whenIdle?: boolean;
  /**
   * By a line for each million of requests: through the second half of a run, or, of what is idle, through all looks but the first,
   * which are few and each some megabytes off: a thread that has grown by less than that does not collect. Undefined: it is only told.
   */
  readonly growthMax: number | undefined;
}

/** Sends a million of requests, or as many as there is time for, and draws the lines. */
export async function sendMillion(
  context: TestContext,
  { bed, client }: World,
  shares: readonly Share[],
  held: readonly Held[],
): Promise<void> {
  const points: (readonly [requests: number, megabytes: number])[][] = held.map(() => []);
  const begunAt = performance.now();
  const until = begunAt + SOAK_MS;
  let requests = 0;
  while (requests < REQUESTS && (performance.now() < until || requests < BATCHES_MIN * BATCH)) {
    await sendBatch(client(), shares, bed().lab);
    requests += BATCH;
    const due = [...held.entries()].filter(
      ([, { everyRequests = BATCH }]) => requests % everyRequests === 0,
    );
    if (due.some(([, { whenIdle }]) => whenIdle === true)) {
      await bed().lab.clock.sleep(SETTLE_MS);
    }
    for (const [index, { megabytes }] of due) {
      points[index]?.push([requests, await megabytes()]);
    }
  }
  const seconds = (performance.now() - begunAt) / 1_000;
  context.diagnostic(`report: ${requests} requests, ${(requests / seconds).toFixed(0)} a second`);
  for (const [index, { name, growthMax, whenIdle }] of held.entries()) {
    const all = points[index] ?? [];
    const from = whenIdle === true ? 1 : all.length / 2;
    const perMillion = slopeOf(all.slice(from)) * REQUESTS;
    const seen = [all[0], all.at(-1)].map((point) => point?.[1].toFixed(1)).join(' to ');
    context.diagnostic(`report: ${name}: ${seen} MB, slope ${perMillion.toFixed(2)} MB a million`);
    if (growthMax !== undefined && requests >= REQUESTS_TO_JUDGE) {
      assert.ok(perMillion < growthMax, `${name}: ${perMillion} MB a million`);
    }
  }
}

/** Of all shares at a time, so that they meet. */
async function sendBatch(client: Caller, shares: readonly Share[], lab: Lab): Promise<void> {
  const whole = shares.reduce((sum, share) => sum + share.of, 0);
  const errors = await Promise.all(
    shares.map(async ({ of, request, protocol }) => {
      const parallel = Math.ceil((PARALLEL * of) / whole);
      const count = Math.round((BATCH * of) / whole);
      return (await client.many(request, count, parallel, protocol)).errors;
    }),
  );
  if (errors.some((one) => Object.keys(one).length > 0)) {
    process.stderr.write(tailOfLogs(lab));
    assert.fail(`by share: ${JSON.stringify(errors)}`);
  }
}

/** Of a process of the mesh. */
export async function residentMegabytes(lab: Lab, component: string): Promise<number> {
  const text = String(await admin(lab, component, '/metrics'));
  const bytes = Number(/^process_resident_memory_bytes\S* (\S+)/m.exec(text)?.[1]);
  assert.ok(bytes > 0, `${component} tells no memory`);
  return bytes / MEGABYTE;
}

interface HeapSnapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[] } };
  readonly nodes: readonly number[];
}

/** What the heaps of a program's threads hold after full collections, which snapshots begin with: requests are in workers. */
export async function heldMegabytes(lab: Lab, component: string): Promise<number> {
  const metrics = String(await admin(lab, component, '/metrics'));
  const workers = Number(/^ambit_workers\S* (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(workers > 0, `${component} tells no workers`);
  let bytes = 0;
  for (const thread of ['main', ...Array.from({ length: workers }, (_, n) => `worker-${n}`)]) {
    const path = `/debug/pprof/heap?thread=${thread}`;
    bytes += bytesIn(await admin(lab, component, path, SNAPSHOT_MS_MAX));
  }
  return bytes / MEGABYTE;
}

function bytesIn(answer: unknown): number {
  assert.ok(typeof answer === 'object', `no snapshot: ${String(answer).slice(0, 200)}`);
  const { snapshot, nodes } = answer as HeapSnapshot;
  const fields = snapshot.meta.node_fields;
  let bytes = 0;
  for (let at = fields.indexOf('self_size'); at < nodes.length; at += fields.length) {
    bytes += nodes[at] ?? 0;
  }
  return bytes;
}

/** Of the line of least squares. */
function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (pick: 0 | 1): number =>
    points.reduce((sum, point) => sum + point[pick], 0) / Math.max(1, points.length);
  const [x, y] = [mean(0), mean(1)];
  const above = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const below = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
