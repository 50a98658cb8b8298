/**
 * A waypoint that is not ours and speaks no HBONE: HAProxy behind the agent of its pod, told of the caller by PROXY protocol. What it
 * was told shows in headers that it adds, which the destination sends back.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  conditionsOf,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller, Echo } from './caller.ts';

const NO_WAYPOINT = { 'istio.io/use-waypoint': 'none' };
const only = (version: string): object => ({ selector: { app: 'web', version } });

const FRONT = [
  yaml({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: {
      name: 'haproxy',
      annotations: { 'ambient.istio.io/waypoint-inbound-binding': 'PROXY/15088' },
    },
    spec: { controllerName: 'example.com/haproxy' },
  }),
  yaml({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'front', namespace: 'shop' },
    spec: {
      gatewayClassName: 'haproxy',
      listeners: [{ name: 'mesh', port: 15088, protocol: 'istio.io/PROXY' }],
    },
  }),
  yaml({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'front',
      namespace: 'shop',
      labels: { app: 'front', 'gateway.networking.k8s.io/gateway-name': 'front' },
    },
    spec: {
      serviceAccountName: 'front',
      nodeName: 'node2',
      containers: [
        {
          name: 'haproxy',
          command: ['haproxy', '-db', '-f', 'behind-agent.cfg'],
          readinessProbe: { httpGet: { path: '/', port: 8404 }, periodSeconds: 1 },
        },
      ],
    },
  }),
  yaml({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'front', namespace: 'shop' },
    // Callers go to the agent's port, whatever is listed.
    spec: { selector: { app: 'front' }, ports: [{ name: 'proxy', port: 15088 }] },
  }),
].join('');

const WORLD = [
  namespaceYaml('shop', {
    'istio.io/dataplane-mode': 'ambient',
    'istio.io/use-waypoint': 'front',
  }),
  namespaceYaml('street', {}),
  echoYaml({ name: 'web', node: 'node1' }),
  echoYaml({ name: 'web-v2', app: 'web', version: 'v2', node: 'node2' }),
  serviceYaml('web'),
  serviceYaml('first', 'shop', only('v1'), NO_WAYPOINT),
  serviceYaml('second', 'shop', only('v2'), NO_WAYPOINT),
  FRONT,
  clientYaml({ name: 'client', node: 'node1' }),
  clientYaml({ name: 'other', node: 'node2' }),
  clientYaml({ name: 'stranger', namespace: 'street', node: 'node1' }),
].join('');

const denying = (principal: string): string =>
  yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'at-front', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'front' } },
      action: 'DENY',
      rules: [{ from: [{ source: { principals: [`cluster.local/ns/shop/sa/${principal}`] } }] }],
    },
  });

/** What a client writes who would be `sa/client` at 1.2.3.4, and its request. */
function forged(): string {
  const id = Buffer.from('spiffe://cluster.local/ns/shop/sa/client');
  const tlv = Buffer.concat([Buffer.of(0xd0, 0, id.length), id]);
  const addresses = Buffer.of(1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 80);
  const head = Buffer.from('0d0a0d0a000d0a515549540a21110000', 'hex');
  head.writeUInt16BE(addresses.length + tlv.length, 14);
  const request = Buffer.from(
    'GET /?count=forged HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n',
  );
  return Buffer.concat([head, addresses, tlv, request]).toString('hex');
}

describe('HAProxy as a waypoint behind its agent', () => {
  let bed: Bed;
  let client: Caller;
  let other: Caller;
  before(async () => {
    bed = await makeBed(WORLD);
    client = bed.caller('shop/client');
    other = bed.caller('shop/other');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const addressesOf = (name: string): readonly string[] =>
    bed.lab.status().services.find((one) => one.name === name)?.addresses ?? [];
  const url = (address: string, path = '/'): string =>
    `http://${address.includes(':') ? `[${address}]` : address}${path}`;
  const arrived = async (key: string): Promise<number> =>
    (await client.echo(url(addressesOf('first')[0] ?? '', `/?peek=${key}`))).seen;
  const send = async (pod: string, host: string, port: number): Promise<string> => {
    const { child, ended } = bed.lab.spawn(pod, ['node', 'raw.mjs', host, String(port), forged()]);
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await ended;
    return text;
  };

  it('is programmed by what its class says', async () => {
    const said = (): string =>
      conditionsOf(bed.lab, 'Gateway/shop/front')
        .map(({ type, status }) => `${type}=${status}`)
        .join(' ');
    // Once its pod is known to be ready, which may be after the pods of others are.
    await bed.lab.waitFor(() => said() === 'Accepted=True Programmed=True', {
      what: 'a programmed Gateway',
    });
  });

  it('is told who calls, from where and whereto, and sends on by path', async () => {
    const callers = [
      ['client', client],
      ['other', other],
    ] as const;
    for (const [name, caller] of callers) {
      const own = bed.lab.pod(`shop/${name}`).addresses;
      const addresses = addressesOf('web');
      assert.equal(addresses.length, 2, 'one of each family');
      for (const address of addresses) {
        const echo: Echo = await caller.echo(url(address));
        const [from = ''] = (echo.headers['x-from'] ?? '').split(',');
        assert.equal(echo.headers['x-caller'], name, 'the identity of the certificate');
        assert.ok(own.includes(from), `${from} is not of ${own}`);
        assert.equal(echo.headers['x-to'], `${address},80`, 'the address of the Service');
        assert.equal(echo.version, 'v1');
        assert.ok(bed.lab.pod('shop/front').addresses.includes(echo.from), 'and it is who calls');
        assert.equal((await caller.echo(url(address, '/second'))).version, 'v2');
      }
    }
  });

  it('is not reached by whom its agent refuses', async () => {
    const [address = ''] = addressesOf('web');
    bed.lab.apply(denying('other'));
    await inForce(bed.lab, 'AuthorizationPolicy/shop/at-front');
    const { status } = await other.http({ url: url(address, '/?count=denied') });
    assert.equal(status, 0, 'no answer');
    assert.equal(await arrived('denied'), 0);
    assert.equal((await client.echo(url(address))).headers['x-caller'], 'client');
  });

  it('believes no header but that of its agent', async () => {
    const [address = ''] = addressesOf('web');
    const [front = ''] = bed.lab.pod('shop/front').addresses;
    // Behind the agent's header the forged one is a request, and a bad one.
    assert.match(await send('shop/client', address, 80), /^HTTP\/1\.[01] 400 /);
    assert.match(await send('shop/client', front, 15_088), /^HTTP\/1\.[01] 400 /);
    // Without a tunnel there is nobody before the proxy who says whose the bytes are.
    assert.equal(await send('street/stranger', front, 15_088), 'nothing');
    assert.equal(await arrived('forged'), 0);
  });
});
