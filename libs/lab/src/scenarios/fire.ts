/**
 * What the tests under fire share: a lab for a suite, and lines through memory. Imported by tests only.
 *
 * Rule: kills last for the minutes that are given; a million requests are a million, however long they take, or fail.
 */
import assert from 'node:assert/strict';
import { after, before, type TestContext } from 'node:test';
import type { Lab } from '../lab.ts';
import { admin, type Bed, makeBed, tailOfLogs } from './bed.ts';
import type { Caller, HttpCall } from './caller.ts';

export const SOAK_MS = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 1) * 60_000;
export const URL = 'http://web.shop/';

const MILLION = 1_000_000;
/** Fewer than a million only by this variable, to try a test out: the report says so. */
const REQUESTS = Number(process.env['AMBIT_SOAK_REQUESTS'] ?? MILLION);
/** Five times what they take on two cores. */
const REQUESTS_MS_MAX = 3_600_000;
/** At memory when nothing is asked for, which takes a while. */
const IDLE_LOOKS = 10;
const BATCH = Math.min(10_000, Math.ceil(REQUESTS / IDLE_LOOKS));
const BATCHES_TO_LOOK = Math.ceil(REQUESTS / BATCH / IDLE_LOOKS);
const PARALLEL = 32;
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
  /** Looked at when nothing has been asked for a while, and seldom: what a burst left is none of what is kept. */
  readonly whenIdle?: boolean;
  /**
   * By a line, from the first to the last request of a run: through the second half, or, of what is idle, through all looks but the
   * first, which are few and each some megabytes off: a thread that has grown by less than that does not collect.
   */
  readonly growthMax: number;
}

/** Sends a million of requests and draws the lines. */
export async function sendMillion(
  context: TestContext,
  { bed, client }: World,
  shares: readonly Share[],
  held: readonly Held[],
): Promise<void> {
  assert.ok(Number.isSafeInteger(REQUESTS) && REQUESTS > 0, 'AMBIT_SOAK_REQUESTS is no number');
  const points: (readonly [requests: number, megabytes: number])[][] = held.map(() => []);
  const begunAt = performance.now();
  let requests = 0;
  for (let batch = 1; requests < REQUESTS; batch += 1) {
    const took = performance.now() - begunAt;
    assert.ok(took < REQUESTS_MS_MAX, `only ${requests} of ${REQUESTS} requests in ${took} ms`);
    await sendBatch(client(), shares, bed().lab);
    requests += BATCH;
    const isIdle = batch % BATCHES_TO_LOOK === 0;
    if (isIdle && held.some(({ whenIdle }) => whenIdle)) {
      await bed().lab.clock.sleep(SETTLE_MS);
    }
    for (const [index, { megabytes, whenIdle = false }] of held.entries()) {
      if (isIdle || !whenIdle) {
        points[index]?.push([requests, await megabytes()]);
      }
    }
  }
  const seconds = (performance.now() - begunAt) / 1_000;
  const proves = requests < MILLION ? ', which are no million: AMBIT_SOAK_REQUESTS' : '';
  context.diagnostic(`report: ${requests} requests in ${seconds.toFixed(0)} s${proves}`);
  const tooMuch = held.filter((one, index) => !isKept(context, one, points[index] ?? []));
  assert.deepEqual(
    tooMuch.map(({ name, growthMax }) => `${name} grows by more than ${growthMax} MB`),
    [],
  );
}

/** Tells what was seen, and whether it is what it was. */
function isKept(
  context: TestContext,
  { name, growthMax, whenIdle = false }: Held,
  points: readonly (readonly [requests: number, megabytes: number])[],
): boolean {
  const slope = slopeOf(points.slice(whenIdle ? 1 : points.length / 2));
  const seen = points.filter((_, at) => whenIdle || at === 0 || at === points.length - 1);
  const megabytes = seen.map((point) => point[1].toFixed(1)).join(', ');
  const perMillion = (slope * MILLION).toFixed(2);
  context.diagnostic(`report: ${name}: ${megabytes} MB, slope ${perMillion} MB a million`);
  return slope * REQUESTS < growthMax;
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
