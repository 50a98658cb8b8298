import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Netns } from '@ambit/netns';
import { silentLogger } from '@ambit/telemetry';
import { HostProbes } from './host-probes.ts';
import { DEFAULT_PROBE_SOURCES } from './rules.ts';

const NS: Netns = { fd: -1, id: 'host', [Symbol.dispose]: () => undefined };

/** The addresses of each table that was written; `failures` writes fail first. */
function setUp(left: readonly string[] = []) {
  const written: string[] = [];
  const state = { failures: 0, isSuperseded: false };
  const probes = new HostProbes({
    log: silentLogger(),
    probeSources: DEFAULT_PROBE_SOURCES,
    isSuperseded: () => state.isSuperseded,
    table: () => ({
      read: () => Promise.resolve(JSON.stringify({ nftables: [{ set: { elem: left } }] })),
      write: async (rules) => {
        await Promise.resolve();
        if (state.failures > 0) {
          state.failures--;
          throw new Error('no table today');
        }
        written.push([...rules.matchAll(/elements = \{ (.*?) \}/g)].map(([, all]) => all).join());
      },
    }),
  });
  return { probes, written, state };
}

describe('HostProbes', () => {
  it('writes a table at the start, and again only when addresses change', async () => {
    const { probes, written } = setUp();
    await probes.open(NS, []);
    await probes.add({ uid: 'a', ips: ['10.0.0.1', 'fd00::1'] });
    await probes.add({ uid: 'a', ips: ['10.0.0.1', 'fd00::1'] });
    await probes.remove('b');
    await probes.remove('a');
    assert.deepEqual(written, ['', '10.0.0.1,fd00::1', '']);
  });

  it('writes what comes together at once', async () => {
    const { probes, written } = setUp();
    await probes.open(NS, []);
    const ips = Array.from({ length: 50 }, (_, index) => `10.0.1.${index + 10}`);
    await Promise.all(ips.map((ip) => probes.add({ uid: ip, ips: [ip] })));
    assert.equal(written.length, 2);
    assert.equal(written[1]?.split(', ').length, 50);
  });

  it('keeps of an earlier agent what its pods still have, and nothing else', async () => {
    const { probes, written } = setUp(['10.0.0.1', '10.0.0.9']);
    await probes.open(NS, [
      { uid: 'a', ips: ['10.0.0.1'] },
      { uid: 'never captured', ips: ['10.0.0.2'] },
    ]);
    assert.deepEqual(written, ['10.0.0.1']);
    await probes.remove('a');
    assert.deepEqual(written, ['10.0.0.1', '']);
  });

  it('waits for its start', async () => {
    const { probes, written } = setUp();
    const early = probes.add({ uid: 'a', ips: ['10.0.0.1'] });
    await Promise.resolve();
    assert.deepEqual(written, []);
    await probes.open(NS, []);
    await early;
    assert.deepEqual(written, ['10.0.0.1']);
  });

  it('keeps an address that another pod has by now', async () => {
    const { probes, written } = setUp();
    await probes.open(NS, []);
    await probes.add({ uid: 'old', ips: ['10.0.0.1'] });
    await probes.add({ uid: 'new', ips: ['10.0.0.1'] });
    await probes.remove('old');
    assert.equal(written.at(-1), '10.0.0.1');
  });

  it('writes nothing while another agent has the node, and all of it afterwards', async () => {
    const { probes, written, state } = setUp();
    await probes.open(NS, []);
    state.isSuperseded = true;
    await probes.add({ uid: 'a', ips: ['10.0.0.1'] });
    assert.deepEqual(written, ['']);
    state.isSuperseded = false;
    await probes.add({ uid: 'b', ips: ['10.0.0.2'] });
    assert.deepEqual(written, ['', '10.0.0.1, 10.0.0.2']);
  });

  it('says when it cannot write, and tries again at the next change', async () => {
    const { probes, written, state } = setUp();
    state.failures = 2;
    await assert.rejects(probes.open(NS, []), /no table today/);
    await assert.rejects(probes.add({ uid: 'a', ips: ['10.0.0.1'] }), /no table today/);
    await probes.add({ uid: 'a', ips: ['10.0.0.1'] });
    state.failures = 1;
    await probes.remove('a');
    assert.deepEqual(written, ['10.0.0.1']);
    await probes.add({ uid: 'b', ips: ['10.0.0.2'] });
    assert.deepEqual(written, ['10.0.0.1', '10.0.0.2']);
  });
});
