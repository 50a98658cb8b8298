/** PeerAuthentication: who may come in clear, by port over workload over namespace over mesh. */
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

const policy = (name: string, namespace: string, spec: object): string =>
  yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name, namespace },
    spec,
  });
const mode = (value: string): object => ({ mtls: { mode: value } });
const onWeb = { selector: { matchLabels: { app: 'web' } } };

interface Step {
  readonly title: string;
  readonly apply?: string;
  readonly remove?: string;
  /** May a plaintext client connect: web 8080, web 9000, api 8080. */
  readonly plaintext: readonly [boolean, boolean, boolean];
}

const STEPS: readonly Step[] = [
  { title: 'nothing said: both', plaintext: [true, true, true] },
  {
    title: 'STRICT for the mesh',
    apply: policy('default', 'istio-system', mode('STRICT')),
    plaintext: [false, false, false],
  },
  {
    title: 'PERMISSIVE for the namespace beats the mesh',
    apply: policy('default', 'shop', mode('PERMISSIVE')),
    plaintext: [true, true, true],
  },
  {
    title: 'STRICT for a workload beats its namespace',
    apply: policy('web', 'shop', { ...onWeb, ...mode('STRICT') }),
    plaintext: [false, false, true],
  },
  {
    title: 'a port beats its workload',
    apply: policy('web', 'shop', {
      ...onWeb,
      ...mode('STRICT'),
      portLevelMtls: { 9000: { mode: 'PERMISSIVE' } },
    }),
    plaintext: [false, true, true],
  },
  {
    title: 'a STRICT port of a PERMISSIVE workload',
    apply: policy('web', 'shop', {
      ...onWeb,
      ...mode('PERMISSIVE'),
      portLevelMtls: { 9000: { mode: 'STRICT' } },
    }),
    plaintext: [true, false, true],
  },
  {
    title: 'DISABLE takes plaintext',
    apply: policy('web', 'shop', { ...onWeb, ...mode('DISABLE') }),
    plaintext: [true, true, true],
  },
  {
    title: 'UNSET inherits from the mesh',
    apply:
      policy('default', 'shop', mode('UNSET')) +
      policy('web', 'shop', { ...onWeb, ...mode('UNSET') }),
    plaintext: [false, false, false],
  },
  { title: 'all removed: both', remove: 'all', plaintext: [true, true, true] },
];

describe('PeerAuthentication', () => {
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
        echoYaml({ name: 'api', node: 'node1' }),
        serviceYaml('api'),
        clientYaml({ name: 'client', node: 'node1' }),
        clientYaml({ name: 'stranger', namespace: 'street', node: 'node1' }),
      ].join(''),
    );
    client = bed.caller('shop/client');
    stranger = bed.caller('street/stranger');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const observe = async (caller: Caller): Promise<boolean[]> => {
    const host = async (name: string): Promise<string> =>
      (await caller.dns(`${name}.shop.svc.cluster.local`, 4)).addresses[0] ?? '';
    const [web, api] = [await host('web'), await host('api')];
    const http = async (address: string): Promise<boolean> =>
      (await caller.http({ url: `http://${address}/` })).status === 200;
    const tcp = async (address: string): Promise<boolean> =>
      (await caller.tcp({ host: address, port: 9000, send: 'x' })).received.startsWith('x');
    return [await http(web), await tcp(web), await http(api)];
  };

  for (const step of STEPS) {
    it(step.title, async () => {
      if (step.apply !== undefined) {
        bed.lab.apply(step.apply);
      }
      if (step.remove !== undefined) {
        for (const key of ['shop/web', 'shop/default', 'istio-system/default']) {
          bed.lab.delete(`PeerAuthentication/${key}`);
        }
      }
      let seen: boolean[] = [];
      await bed.lab.waitFor(
        async () => {
          seen = await observe(stranger);
          if (seen.join() !== step.plaintext.join()) {
            throw new Error(`plaintext gets in: ${seen.join(', ')}`);
          }
          return true;
        },
        { what: step.title, timeoutMs: 10_000 },
      );
      assert.deepEqual(seen, step.plaintext, 'from outside the mesh');
      assert.deepEqual(await observe(client), [true, true, true], 'from inside, by mTLS');
    });
  }
});
