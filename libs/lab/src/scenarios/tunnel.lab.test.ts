/** Capture and tunnel: what enrolled pods say reaches the other side, whole, from the right address, never in clear. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Capture } from '../capture.ts';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';

const WORLD = [
  namespaceYaml('shop'),
  namespaceYaml('street', {}),
  echoYaml({ name: 'far', node: 'node2' }),
  serviceYaml('far'),
  echoYaml({ name: 'near', node: 'node1' }),
  serviceYaml('near'),
  serviceYaml('far', 'shop', { clusterIP: 'None' }).replace('"name":"far"', '"name":"far-pods"'),
  clientYaml({ name: 'client', node: 'node1' }),
  echoYaml({ name: 'old', namespace: 'street', node: 'node2' }),
  serviceYaml('old', 'street'),
  clientYaml({ name: 'stranger', namespace: 'street', node: 'node1' }),
].join('');

/** Nothing else in a test's traffic says this. */
let canaries = 0;
function canary(): string {
  canaries += 1;
  return `canary-${process.pid}-${canaries}-tweet`;
}

describe('capture and tunnel', () => {
  let bed: Bed;
  let client: Caller;
  let stranger: Caller;
  before(async () => {
    bed = await makeBed(WORLD);
    client = bed.caller('shop/client');
    stranger = bed.caller('street/stranger');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const addressesOf = (name: string): readonly string[] => {
    const service = bed.lab.status().services.find((one) => one.name === name);
    return service?.addresses ?? [];
  };
  const bracket = (address: string): string => (address.includes(':') ? `[${address}]` : address);
  const during = async (action: () => Promise<void>): Promise<Capture> => {
    const capture = await bed.lab.capture();
    await action();
    await capture.stop();
    return capture;
  };

  for (const name of ['far', 'near']) {
    it(`reaches ${name}: by service name, both service addresses, both pod addresses`, async () => {
      const pod = bed.lab.pod(`shop/${name}`);
      const own = bed.lab.pod('shop/client').addresses;
      const word = canary();
      const capture = await during(async () => {
        const hosts = [
          `http://${name}/`,
          `http://${name}.shop.svc.cluster.local/`,
          ...addressesOf(name).map((address) => `http://${bracket(address)}/`),
          ...pod.addresses.map((address) => `http://${bracket(address)}:8080/`),
        ];
        for (const host of hosts) {
          const echo = await client.echo(`${host}${word}`);
          assert.equal(echo.pod, pod.plan.name, host);
          assert.ok(own.includes(echo.from), `${host}: the server sees ${echo.from}, not ${own}`);
        }
      });
      assert.equal(capture.contains(word), false, 'nothing in clear between the nodes');
      assert.ok(capture.frames().length > 0 || name === 'near', 'something crossed');
    });
  }

  it('reaches headless services', async () => {
    const echo = await client.echo('http://far-pods:8080/');
    assert.equal(echo.pod, bed.lab.pod('shop/far').plan.name);
  });

  it('keeps half-close, and lets the server speak first', async () => {
    const { addresses: own } = bed.lab.pod('shop/client');
    for (const host of [...addressesOf('far'), ...addressesOf('near')]) {
      const word = canary();
      const capture = await during(async () => {
        const echo = await client.tcp({ host, port: 9000, send: word });
        assert.ok(echo.received.startsWith(`${word}bye `), `${host}: ${JSON.stringify(echo)}`);
        const from = echo.received.split(' ').at(-1) ?? '';
        assert.ok(own.includes(from), `${host}: source ${from}`);
        const first = await client.tcp({ host, port: 9001, wait: true, send: word });
        assert.match(first.received, /^hello from /, host);
        assert.ok(first.received.endsWith(word), host);
      });
      assert.equal(capture.contains(word), false, host);
    }
  });

  it('carries 64 MiB whole, on eight connections at a time', async () => {
    const [host = ''] = addressesOf('far');
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => client.tcp({ host, port: 9002 })),
    );
    for (const answer of answers) {
      assert.deepEqual(answer, { received: answer.received, bytes: 64 << 20 });
    }
  });

  it('lets connections to destinations outside the mesh pass, in clear', async () => {
    const word = canary();
    const capture = await during(async () => {
      const echo = await client.echo(`http://old.street/${word}`);
      assert.ok(bed.lab.pod('shop/client').addresses.includes(echo.from));
    });
    assert.equal(capture.contains(word), true, 'the capture would have seen it');
  });

  it('takes connections from outside the mesh, in clear, from their own address', async () => {
    const word = canary();
    const capture = await during(async () => {
      const echo = await stranger.echo(`http://far.shop/${word}`);
      assert.ok(bed.lab.pod('street/stranger').addresses.includes(echo.from), echo.from);
    });
    assert.equal(capture.contains(word), true);
  });

  it('refuses a port where nobody listens, and a service without endpoints', async () => {
    const pod = bed.lab.pod('shop/far').addresses[0];
    const closed = await client.http({ url: `http://${pod}:7/` });
    assert.equal(closed.status, 0);
    assert.notEqual(closed.error, 'TIMEOUT', 'it is refused, not forgotten');
  });

  it('does not let the ports of capture be reached as destinations', async () => {
    const pod = bed.lab.pod('shop/far').addresses[0] ?? '';
    for (const port of [15_001, 15_006, 15_008]) {
      const answer = await client.http({ url: `http://${pod}:${port}/`, timeoutMs: 5_000 });
      assert.equal(answer.status, 0, `port ${port}`);
    }
  });
});
