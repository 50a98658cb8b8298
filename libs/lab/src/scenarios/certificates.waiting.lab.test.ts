/**
 * Certificates that live a minute, or less, while the root changes from A by A and B to B: no request fails, nor one through a waypoint;
 * nobody is let in, and no server is taken for a pod's, whose certificate has expired, or is not of a root that is believed at that
 * moment. Two minutes in every run; `npm run test:soak -- --minutes 60` makes it an hour with certificates of a minute.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  admin,
  type Bed,
  certificatesOf,
  clientYaml,
  echoYaml,
  makeBed,
  namespaceYaml,
  serviceYaml,
} from './bed.ts';
import type { Caller } from './caller.ts';
import {
  EXPIRED,
  ImpostorServers,
  Impostors,
  makeRoot,
  NOT_YET,
  papersOf,
  type Root,
} from './impostors.ts';
import { LOADS, TIMEOUT_MS, tell } from './loads.ts';
import { gatewayYaml } from './waypoints.ts';

const SOAK_MINUTES = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 0);
const TTL_SECONDS = SOAK_MINUTES > 0 ? 60 : 20;
const DURATION_MS = SOAK_MINUTES > 0 ? SOAK_MINUTES * 60_000 : 120_000;
const STEPS = 4;
const TICK_MS = 2_000;
const REPORT_EVERY_MS = SOAK_MINUTES > 0 ? 60_000 : 30_000;
const EVERY_MS = 50;
const URL = 'http://web.shop/';
/** The same pod, through a waypoint. */
const GATED_URL = 'http://gated.shop/';
/** By name: requests on new connections and on kept ones, past the waypoint and through it. */
const REQUESTS = {
  new: { url: URL, ...LOADS.new },
  kept: { url: URL, ...LOADS.kept },
  'gated new': { url: GATED_URL, ...LOADS.new },
  'gated kept': { url: GATED_URL, ...LOADS.kept },
};
const NAMES = Object.keys(REQUESTS);
const THROUGH = { 'istio.io/use-waypoint': 'gate' };
const SPEAKS_TUNNELS = { 'networking.istio.io/tunnel': 'http' };
const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/client';
const SERVER = 'spiffe://cluster.local/ns/street/sa/server';
const BELIEVED = 'of a root that is believed';
const WENT = 'of the root that went';
const OTHER = 'of another identity';
/** What an agent counts for each kind of server. */
const REFUSALS = {
  expired: 'expired',
  'not valid yet': 'expired',
  'of a root of nobody': 'chain',
  'of the root to come': 'chain',
  [WENT]: 'chain',
  [OTHER]: 'unexpected',
} as const;
/** Of clients anybody may come who is of the mesh, so they are of no other identity, but some show nothing; of servers none does. */
const KINDS = 7;

interface DumpedIdentity {
  readonly identity: string;
  readonly certChain: readonly { readonly serialNumber: string; readonly expirationTime: string }[];
}

describe(`certificates of ${TTL_SECONDS} s while the root changes`, () => {
  const [a, b, stranger] = [makeRoot('A'), makeRoot('B'), makeRoot('C')];
  const folder = mkdtempSync(join(tmpdir(), 'ambit-roots-'));
  let bed: Bed;
  let client: Caller;
  let impostors: Impostors;
  let servers: ImpostorServers;

  /** What signs, and what is believed. */
  const write = (signer: Root, ...believed: readonly Root[]): void => {
    for (const [name, text] of [
      ['root-cert.pem', believed.map(({ pem }) => pem).join('')],
      ['ca-key.pem', signer.keyPem],
      ['ca-cert.pem', signer.pem],
      ['cert-chain.pem', signer.pem],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
  };
  const steps = [
    { name: 'A', signer: a, begin: () => undefined },
    { name: 'A, believing A and B', signer: a, begin: () => write(a, a, b) },
    { name: 'B, believing A and B', signer: b, begin: () => write(b, a, b) },
    { name: 'B', signer: b, begin: () => write(b, b) },
  ];

  before(async () => {
    write(a, a);
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        serviceYaml('gated', 'shop', { selector: { app: 'web' } }, THROUGH),
        gatewayYaml('gate'),
        clientYaml({ name: 'client', node: 'node1' }),
        // Nobody captures what it sends.
        namespaceYaml('street', {}),
        clientYaml({ name: 'impostor', namespace: 'street', node: 'node1' }),
        clientYaml({ name: 'server', namespace: 'street', node: 'node2', labels: SPEAKS_TUNNELS }),
      ].join(''),
      { extraEnv: certificatesOf(TTL_SECONDS, { AMBIT_CACERTS_DIR: folder }) },
    );
    client = bed.caller('shop/client');
    const { pod } = await client.echo(URL);
    const [address = ''] = bed.lab.pod(`shop/${pod}`).addresses;
    impostors = new Impostors(bed.caller('street/impostor'), address);
    const [serverAddress = ''] = bed.lab.pod('street/server').addresses;
    servers = new ImpostorServers(bed.caller('street/server'), client, serverAddress);
    const isGated = async (): Promise<boolean> =>
      (await client.echo(GATED_URL)).headers['x-forwarded-client-cert']?.includes('/sa/gate') ===
      true;
    await bed.lab.waitFor(isGated, { what: 'the waypoint', timeoutMs: 60_000 });
  });
  after(async () => {
    await bed[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One of each kind that is wrong at this moment, and one that is right. */
  const papers = (step: number, isSettled: boolean, identity: string) => {
    const { signer = a } = steps[step] ?? {};
    const isLast = step === steps.length - 1;
    return [
      [BELIEVED, papersOf(signer, identity)],
      ['expired', papersOf(signer, identity, EXPIRED)],
      ['not valid yet', papersOf(signer, identity, NOT_YET)],
      ['of a root of nobody', papersOf(stranger, identity)],
      ...(step === 0 ? [['of the root to come', papersOf(b, identity)] as const] : []),
      ...(isLast && isSettled ? [[WENT, papersOf(a, identity)] as const] : []),
    ] as const;
  };
  const knock = async (step: number, isSettled: boolean): Promise<void> => {
    for (const [kind, shown] of [
      ...papers(step, isSettled, IDENTITY),
      ['without a certificate', {}] as const,
    ]) {
      await impostors.try(kind, shown);
    }
    const { signer = a } = steps[step] ?? {};
    for (const [kind, shown] of [
      ...papers(step, isSettled, SERVER),
      [OTHER, papersOf(signer, IDENTITY)] as const,
    ]) {
      await servers.try(kind, shown);
    }
  };

  const serials = new Set<string>();
  /** Certificates that agents and the waypoint hold; none of them has expired. */
  const look = async (): Promise<void> => {
    for (const component of ['agent/node1', 'agent/node2', 'waypoint/shop/gate']) {
      const dumps = await admin(bed.lab, component, '/certs');
      for (const { identity, certChain } of dumps as readonly DumpedIdentity[]) {
        const [leaf] = certChain;
        if (leaf !== undefined) {
          serials.add(`${identity} ${leaf.serialNumber}`);
          assert.ok(Date.parse(leaf.expirationTime) > Date.now(), `${identity} has expired`);
        }
      }
    }
  };

  /** By the agent that dialled them, each kind under its reason. */
  const refusedServersAreCounted = async (): Promise<void> => {
    const text = String(await admin(bed.lab, 'agent/node1', '/metrics'));
    const rows = text.matchAll(/^ambit_tunnel_peers_refused_total\{(.*)\} (\d+)$/gm);
    const ofServers = [...rows].filter(([, labels]) => labels?.includes('role="server"'));
    for (const reason of new Set(Object.values(REFUSALS))) {
      const row = ofServers.find(([, labels]) => labels?.includes(`reason="${reason}"`));
      const kinds = Object.entries(REFUSALS).flatMap(([kind, why]) =>
        why === reason ? [servers.attempts.counts(kind)[0]] : [],
      );
      const tried = kinds.reduce((sum, count) => sum + count, 0);
      assert.ok(Number(row?.[2]) >= tried, `${reason}: ${row?.[2]} of ${tried} are counted`);
    }
  };

  const progress = async (step: string): Promise<void> => {
    const lines: string[] = [];
    for (const name of NAMES) {
      const { sent, ok, errors, failures } = await client.lookAtLoad(name);
      const wrong = failures.length === 0 ? '' : `, ${JSON.stringify(errors)}: ${tell(failures)}`;
      lines.push(`${name} ${ok} of ${sent}${wrong}`);
    }
    // Shown as it comes.
    process.stdout.write(
      `report: ${step}: ${lines.join('; ')}; ${serials.size} certificates; clients ${impostors.attempts.summary.join('; ')}; servers ${servers.attempts.summary.join('; ')}\n`,
    );
  };

  it(`${DURATION_MS / 1_000} s, from A by A and B to B: no request fails, nobody is let in who must not be`, async () => {
    const { clock } = bed.lab;
    for (const [name, request] of Object.entries(REQUESTS)) {
      await client.startLoad(name, { timeoutMs: TIMEOUT_MS, ...request }, EVERY_MS);
    }
    const stepMs = DURATION_MS / STEPS;
    const settledMs = TTL_SECONDS * 1_000;
    let reportedAt = clock.now();
    for (const [index, { name, begin }] of steps.entries()) {
      begin();
      const begunAt = clock.now();
      const isLast = index === steps.length - 1;
      // On a machine that others use too, the last kind may come late.
      while (clock.now() - begunAt < stepMs || (isLast && !servers.attempts.kinds.includes(WENT))) {
        await knock(index, clock.now() - begunAt >= settledMs);
        await look();
        if (clock.now() - reportedAt >= REPORT_EVERY_MS) {
          reportedAt = clock.now();
          await progress(`signed by ${name}`);
        }
        await clock.sleep(TICK_MS);
      }
    }
    await progress('at the end');
    for (const { attempts } of [impostors, servers]) {
      for (const kind of attempts.kinds) {
        const [tried, taken] = attempts.counts(kind);
        assert.ok(tried > 0, kind);
        const expected = kind === BELIEVED ? tried : 0;
        assert.equal(taken, expected, `${kind}: ${attempts.summary.join('; ')}`);
      }
      assert.equal(attempts.kinds.length, KINDS);
    }
    await refusedServersAreCounted();
    for (const name of NAMES) {
      const { sent, ok, errors, failures } = await client.stopLoad(name);
      assert.deepEqual([ok, errors], [sent, {}], `${name}, first failures: ${tell(failures)}`);
      assert.ok(sent > DURATION_MS / EVERY_MS / 4, `${name}: ${sent} requests`);
    }
    // Three accounts, each with a new one at half of its life.
    assert.ok(serials.size >= DURATION_MS / 1_000 / TTL_SECONDS, `${serials.size} certificates`);
  });
});
