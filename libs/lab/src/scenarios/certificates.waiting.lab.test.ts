/**
 * Certificates that live a minute, or less, while the root changes from A by A and B to B: no request fails, and nobody is let in
 * whose certificate has expired, or is not of a root that is believed at that moment. Two minutes in every run;
 * `npm run test:soak -- --minutes 60` makes it an hour with certificates of a minute.
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
import { EXPIRED, Impostors, makeRoot, NOT_YET, papersOf, type Root } from './impostors.ts';
import { LOADS, TIMEOUT_MS, tell } from './loads.ts';

const SOAK_MINUTES = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 0);
const TTL_SECONDS = SOAK_MINUTES > 0 ? 60 : 20;
const DURATION_MS = SOAK_MINUTES > 0 ? SOAK_MINUTES * 60_000 : 120_000;
const STEPS = 4;
const TICK_MS = 2_000;
const REPORT_EVERY_MS = SOAK_MINUTES > 0 ? 60_000 : 30_000;
const NAMES = ['new', 'kept'] as const;
const EVERY_MS = 50;
const URL = 'http://web.shop/';
const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/client';
const BELIEVED = 'of a root that is believed';
const WENT = 'of the root that went';

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
        clientYaml({ name: 'client', node: 'node1' }),
        // Nobody captures what it sends.
        namespaceYaml('street', {}),
        clientYaml({ name: 'impostor', namespace: 'street', node: 'node1' }),
      ].join(''),
      { extraEnv: certificatesOf(TTL_SECONDS, { AMBIT_CACERTS_DIR: folder }) },
    );
    client = bed.caller('shop/client');
    const { pod } = await client.echo(URL);
    const [address = ''] = bed.lab.pod(`shop/${pod}`).addresses;
    impostors = new Impostors(bed.caller('street/impostor'), address);
  });
  after(async () => {
    await bed[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One of each kind that is wrong at this moment, and one that is right. */
  const knock = async (step: number, isSettled: boolean): Promise<void> => {
    const { signer = a } = steps[step] ?? {};
    await impostors.try(BELIEVED, papersOf(signer, IDENTITY));
    await impostors.try('expired', papersOf(signer, IDENTITY, EXPIRED));
    await impostors.try('not valid yet', papersOf(signer, IDENTITY, NOT_YET));
    await impostors.try('of a root of nobody', papersOf(stranger, IDENTITY));
    await impostors.try('without a certificate', {});
    if (step === 0) {
      await impostors.try('of the root to come', papersOf(b, IDENTITY));
    }
    if (step === steps.length - 1 && isSettled) {
      await impostors.try(WENT, papersOf(a, IDENTITY));
    }
  };

  const serials = new Set<string>();
  /** Certificates that agents hold; none of them has expired. */
  const look = async (): Promise<void> => {
    for (const node of ['node1', 'node2']) {
      const dumps = await admin(bed.lab, `agent/${node}`, '/certs');
      for (const { identity, certChain } of dumps as readonly DumpedIdentity[]) {
        const [leaf] = certChain;
        if (leaf !== undefined) {
          serials.add(`${identity} ${leaf.serialNumber}`);
          assert.ok(Date.parse(leaf.expirationTime) > Date.now(), `${identity} has expired`);
        }
      }
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
      `report: ${step}: ${lines.join('; ')}; ${serials.size} certificates; ${impostors.summary.join('; ')}\n`,
    );
  };

  it(`${DURATION_MS / 1_000} s, from A by A and B to B: no request fails, nobody is let in who must not be`, async () => {
    const { clock } = bed.lab;
    for (const name of NAMES) {
      await client.startLoad(name, { url: URL, timeoutMs: TIMEOUT_MS, ...LOADS[name] }, EVERY_MS);
    }
    const stepMs = DURATION_MS / STEPS;
    const settledMs = TTL_SECONDS * 1_000;
    let reportedAt = clock.now();
    for (const [index, { name, begin }] of steps.entries()) {
      begin();
      const begunAt = clock.now();
      const isLast = index === steps.length - 1;
      // On a machine that others use too, the last kind may come late.
      while (clock.now() - begunAt < stepMs || (isLast && !impostors.kinds.includes(WENT))) {
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
    for (const kind of impostors.kinds) {
      const [tried, taken] = impostors.counts(kind);
      assert.ok(tried > 0, kind);
      assert.equal(
        taken,
        kind === BELIEVED ? tried : 0,
        `${kind}: ${impostors.summary.join('; ')}`,
      );
    }
    assert.equal(impostors.kinds.length, 7);
    for (const name of NAMES) {
      const { sent, ok, errors, failures } = await client.stopLoad(name);
      assert.deepEqual([ok, errors], [sent, {}], `${name}, first failures: ${tell(failures)}`);
      assert.ok(sent > DURATION_MS / EVERY_MS / 4, `${name}: ${sent} requests`);
    }
    // Two accounts, each with a new one at half of its life.
    assert.ok(serials.size >= DURATION_MS / 1_000 / TTL_SECONDS, `${serials.size} certificates`);
  });
});
