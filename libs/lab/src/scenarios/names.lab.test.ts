/** Names: an enrolled pod's queries are answered by its agent, and the rest is forwarded. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  echoYaml,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

const ENTRY = yaml({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'partner', namespace: 'shop' },
  spec: {
    hosts: ['api.partner.example'],
    addresses: ['192.0.2.10'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'STATIC',
    endpoints: [{ address: '192.0.2.20' }],
  },
});

describe('names', () => {
  let bed: Bed;
  let client: Caller;
  let stranger: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        namespaceYaml('street', {}),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
        clientYaml({ name: 'stranger', namespace: 'street', node: 'node1' }),
        ENTRY,
      ].join(''),
      { names: { 'outside.example': ['198.51.100.7', '2001:db8::7'] } },
    );
    client = bed.caller('shop/client');
    stranger = bed.caller('street/stranger');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  it('of services have the address that the cluster gave them, short and long', async () => {
    const service = bed.lab.status().services.find(({ name }) => name === 'web');
    const v4 = service?.addresses.filter((address) => !address.includes(':'));
    const v6 = service?.addresses.filter((address) => address.includes(':'));
    for (const name of ['web', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local']) {
      assert.deepEqual((await client.dns(name, 4)).addresses, v4, name);
      assert.deepEqual((await client.dns(name, 6)).addresses, v6, name);
    }
  });

  it('of a ServiceEntry exist inside the mesh only', async () => {
    await bed.lab.waitFor(
      async () => (await client.dns('api.partner.example', 4)).addresses[0] === '192.0.2.10',
      { what: 'the name of the ServiceEntry' },
    );
    assert.equal((await stranger.dns('api.partner.example', 4)).error, 'ENOTFOUND');
  });

  it('that the mesh does not know come from the resolver of the pod', async () => {
    assert.deepEqual((await client.dns('outside.example', 4)).addresses, ['198.51.100.7']);
    assert.deepEqual((await client.dns('outside.example', 6)).addresses, ['2001:db8::7']);
    assert.equal((await client.dns('nowhere.example', 4)).error, 'ENOTFOUND');
    assert.equal((await client.dns('web.street', 4)).error, 'ENOTFOUND');
  });

  it('are answered over TCP too', async () => {
    const program = `
      const { connect } = require('node:net');
      const question = Buffer.concat([
        ...process.argv[1].split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
        Buffer.from([0, 0, 1, 0, 1]),
      ]);
      const query = Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), question]);
      const length = Buffer.from([query.length >> 8, query.length & 255]);
      const socket = connect(53, '10.242.0.10');
      let bytes = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
          console.log([...bytes.subarray(-4)].join('.'));
          socket.destroy();
        }
      });
      socket.on('error', (error) => console.log(error.code));
      socket.on('connect', () => socket.write(Buffer.concat([length, query])));
      setTimeout(() => process.exit(1), 5000).unref();`;
    const ask = async (name: string): Promise<string> =>
      (await bed.lab.exec('shop/client', ['node', '-e', program, name])).stdout.trim();
    const service = bed.lab.status().services.find(({ name }) => name === 'web');
    assert.equal(await ask('web.shop.svc.cluster.local'), service?.addresses[0]);
    assert.equal(await ask('api.partner.example'), '192.0.2.10', 'which only the agent knows');
    assert.equal(await ask('outside.example'), '198.51.100.7', 'which only the resolver knows');
  });
});
