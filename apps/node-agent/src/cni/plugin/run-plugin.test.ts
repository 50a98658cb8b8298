import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import fc from 'fast-check';
import { replayRemovals } from './del-journal.ts';
import { type Outcome, runPlugin } from './run-plugin.ts';

const ENV = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c0ffee',
  CNI_NETNS: '/run/netns/cni-1',
  CNI_IFNAME: 'eth0',
  CNI_ARGS:
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-0;K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID=u-1',
} as const;
const RESULT = {
  cniVersion: '1.0.0',
  interfaces: [
    { name: 'veth1', mac: 'aa:bb' },
    { name: 'eth0', sandbox: '/run/netns/cni-1' },
    { name: 'net1', sandbox: '/run/netns/cni-1' },
  ],
  ips: [
    { address: '10.244.1.5/24', gateway: '10.244.1.1', interface: 1 },
    { address: 'fd00::5/64', interface: 2 },
    { address: '10.244.1.1/24', interface: 0 },
  ],
  routes: [{ dst: '0.0.0.0/0' }],
  unknownField: { kept: [1, 2.5] },
};

let runDir = '';
let server: Server | undefined;
let questions: { readonly path: string; readonly body: unknown }[] = [];

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
  questions = [];
});
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
  server = undefined;
  rmSync(runDir, { recursive: true, force: true });
});

/** An agent that says this to everything. */
async function agentSays(status: number, body: string): Promise<void> {
  server?.close();
  server?.closeAllConnections();
  rmSync(join(runDir, 'agent.sock'), { force: true });
  const listening = Promise.withResolvers<void>();
  server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const value: unknown = text === '' ? undefined : JSON.parse(text);
      questions.push({ path: request.url ?? '', body: value });
      response.writeHead(status).end(body);
    });
  }).listen(join(runDir, 'agent.sock'), listening.resolve);
  await listening.promise;
}

function config(extra: object = {}): string {
  return JSON.stringify({
    cniVersion: '1.0.0',
    name: 'pods',
    type: 'ambit-cni',
    runDir,
    exemptNamespaces: ['kube-system', 'istio-system'],
    agentPods: 'istio-system/ambit-node-agent-',
    prevResult: RESULT,
    ...extra,
  });
}

function enrol(text: string): void {
  writeFileSync(join(runDir, 'enrolled.json'), text);
}

async function run(env: object = {}, stdin: string = config()): Promise<Outcome> {
  return await runPlugin({ env: { ...ENV, ...env }, stdin, clock: systemClock });
}

function parsed({ stdout }: Outcome): { readonly code?: number; readonly msg?: string } {
  return JSON.parse(stdout) as { readonly code?: number; readonly msg?: string };
}

function pod(namespace: string, name: string): object {
  return { CNI_ARGS: `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=u-1` };
}

describe('ADD', () => {
  it('passes the result on as it came when the agent says that the pod may start', async () => {
    await agentSays(200, '{"captured":true,"reason":"captured"}');
    const outcome = await run();
    assert.equal(outcome.exitCode, 0, outcome.stdout);
    assert.deepEqual(JSON.parse(outcome.stdout), RESULT);
    assert.deepEqual(questions, [
      {
        path: '/v1/cni/add',
        body: {
          containerId: 'c0ffee',
          ifname: 'eth0',
          network: 'pods',
          netns: '/run/netns/cni-1',
          namespace: 'shop',
          name: 'cart-0',
          uid: 'u-1',
          ips: ['10.244.1.5', 'fd00::5'],
          interfaces: ['eth0', 'net1'],
        },
      },
    ]);
  });

  it('answers in every version of the configuration', async () => {
    await agentSays(200, '{}');
    for (const cniVersion of ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const prevResult = { cniVersion, ips: [{ version: '4', address: '10.0.0.2/24' }] };
      const outcome = await run({}, config({ cniVersion, prevResult }));
      assert.deepEqual(JSON.parse(outcome.stdout), prevResult, cniVersion);
    }
  });

  it('never overrules a refusal of the agent, whatever the list says', async () => {
    enrol('[]');
    await agentSays(503, '{"code":"X","error":"no rules yet"}');
    const outcome = await run();
    assert.equal(outcome.exitCode, 1);
    assert.equal(parsed(outcome).code, 11);
    assert.match(parsed(outcome).msg ?? '', /pod shop\/cart-0 cannot start yet: no rules yet/);
  });

  it('says when trying again changes nothing', async () => {
    await agentSays(400, '{"error":"not a pod"}');
    assert.equal(parsed(await run()).code, 100);
  });

  it('decides by the list when nobody answers', async () => {
    const cases: readonly (readonly [string, string | undefined, object, boolean])[] = [
      ['enrolled', '["shop"]', {}, false],
      ['not enrolled', '["bank"]', {}, true],
      ['nothing enrolled', '[]', {}, true],
      ['no list', undefined, {}, false],
      ['cut short', '["sh', {}, false],
      ['no list of texts', '[1]', {}, false],
      ['no list at all', '{"shop":true}', {}, false],
      ['no list, kube-system', undefined, pod('kube-system', 'dns'), true],
      ['corrupt, mesh namespace', '[', pod('istio-system', 'istiod-1'), true],
      ['enrolled kube-system', '["kube-system"]', pod('kube-system', 'dns'), false],
      ['the agent', '["istio-system"]', pod('istio-system', 'ambit-node-agent-x2z'), true],
      ['its name elsewhere', '["shop"]', pod('shop', 'ambit-node-agent-x2z'), false],
      ['no pod of Kubernetes', undefined, { CNI_ARGS: '' }, true],
    ];
    // Together: those that are held wait for the agent first.
    await Promise.all(
      cases.map(async ([what, list, env, passes]) => {
        const folder = mkdtempSync(join(runDir, 'case-'));
        if (list !== undefined) {
          writeFileSync(join(folder, 'enrolled.json'), list);
        }
        const outcome = await run(env, config({ runDir: folder }));
        assert.equal(outcome.exitCode, passes ? 0 : 1, `${what}: ${outcome.stdout}`);
        if (passes) {
          assert.deepEqual(JSON.parse(outcome.stdout), RESULT, what);
        } else {
          assert.equal(parsed(outcome).code, 11, what);
          assert.match(parsed(outcome).msg ?? '', /waits for the node agent/, what);
        }
      }),
    );
  });

  it('takes an agent that knows no such page, or makes no sense, for none', async () => {
    enrol('["shop"]');
    for (const [status, body] of [
      [404, 'no such page'],
      [200, '[]'],
      [200, '"yes"'],
      [200, 'not JSON'],
    ] as const) {
      await agentSays(status, body);
      assert.equal(parsed(await run()).code, 11, body);
    }
  });

  it('refuses what is not chained, not decodable or not of the specification', async () => {
    const cases: readonly (readonly [string, object, string, number])[] = [
      ['no prevResult', {}, config({ prevResult: undefined }), 7],
      ['a prevResult of another form', {}, config({ prevResult: [] }), 7],
      ['no JSON', {}, '{', 6],
      ['nothing', {}, '', 6],
      ['a list', {}, '[]', 6],
      ['no version', {}, config({ cniVersion: undefined }), 7],
      ['an old version', {}, config({ cniVersion: '0.2.0' }), 1],
      ['a version of later', {}, config({ cniVersion: '2.0.0' }), 1],
      ['no command', { CNI_COMMAND: undefined }, config(), 4],
      ['another command', { CNI_COMMAND: 'add' }, config(), 4],
      ['no container', { CNI_CONTAINERID: '' }, config(), 4],
      ['a container that is a path', { CNI_CONTAINERID: '../x' }, config(), 4],
      ['no netns', { CNI_NETNS: '' }, config(), 4],
      ['a relative netns', { CNI_NETNS: 'netns/x' }, config(), 4],
      ['a long interface', { CNI_IFNAME: 'eth0123456789abc' }, config(), 4],
      ['an interface that is a path', { CNI_IFNAME: 'a/b' }, config(), 4],
      ['runDir of another form', {}, config({ runDir: 7 }), 7],
      ['names of another form', {}, config({ exemptNamespaces: 'kube-system' }), 7],
    ];
    for (const [what, env, stdin, code] of cases) {
      const outcome = await run(env, stdin);
      assert.equal(outcome.exitCode, 1, what);
      assert.equal(parsed(outcome).code, code, `${what}: ${outcome.stdout}`);
    }
    assert.match(parsed(await run({ CNI_NETNS: '' })).msg ?? '', /CNI_NETNS/);
  });
});

describe('DEL', () => {
  it('tells the agent, with or without a namespace and a result', async () => {
    await agentSays(200, '{}');
    for (const env of [{}, { CNI_NETNS: '' }, { CNI_NETNS: undefined }]) {
      const stdin = config({ prevResult: undefined });
      const outcome = await run({ CNI_COMMAND: 'DEL', ...env }, stdin);
      assert.deepEqual([outcome.exitCode, outcome.stdout], [0, ''], JSON.stringify(env));
    }
    assert.equal(questions.length, 3);
  });

  it('never fails without an agent, and leaves word for the next one', async () => {
    enrol('["shop"]');
    for (let round = 0; round < 2; round++) {
      const outcome = await run({ CNI_COMMAND: 'DEL' });
      assert.deepEqual([outcome.exitCode, outcome.stdout], [0, ''], outcome.stdout);
    }
    const removals: unknown[] = [];
    const replay = () => replayRemovals(runDir, async (removal) => void removals.push(removal));
    assert.equal(await replay(), 1);
    assert.deepEqual(removals, [{ containerId: 'c0ffee', ifname: 'eth0' }]);
    assert.equal(await replay(), 0);
  });

  it('bounds what it leaves, and leaves nothing where the agent was uninstalled', async () => {
    const folder = join(runDir, 'cni-removed');
    mkdirSync(folder);
    for (let count = 0; count < 1_024; count++) {
      writeFileSync(join(folder, `${count}.eth0.json`), '{}');
    }
    assert.equal((await run({ CNI_COMMAND: 'DEL' })).note?.['journal'], 'not written');
    assert.equal(readdirSync(folder).length, 1_024);
    const gone = config({ runDir: join(runDir, 'gone') });
    const outcome = await run({ CNI_COMMAND: 'DEL' }, gone);
    assert.deepEqual([outcome.exitCode, outcome.note?.['journal']], [0, 'not written']);
    assert.equal(readdirSync(runDir).includes('gone'), false);
  });

  it('forgets notes that cannot be read', async () => {
    mkdirSync(join(runDir, 'cni-removed'));
    for (const [name, text] of [
      ['a.json', '{'],
      ['b.json', '{"containerId":1}'],
      ['c.new', '{}'],
    ] as const) {
      writeFileSync(join(runDir, 'cni-removed', name), text);
    }
    assert.equal(await replayRemovals(runDir, () => Promise.reject(new Error('unused'))), 0);
    assert.deepEqual(readdirSync(join(runDir, 'cni-removed')), []);
  });
});

describe('the other commands', () => {
  it('VERSION names what it speaks, also to a runtime of another version', async () => {
    const outcome = await run({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"9.0.0"}');
    assert.deepEqual(JSON.parse(outcome.stdout), {
      cniVersion: '9.0.0',
      supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    });
  });

  it('STATUS is ready without an agent, unless it is to look at it', async () => {
    const env = { CNI_COMMAND: 'STATUS' };
    assert.equal((await run(env)).exitCode, 0);
    const strict = config({ statusNeedsAgent: true });
    assert.equal(parsed(await run(env, strict)).code, 50);
    await agentSays(200, '{"ready":true}');
    assert.equal((await run(env, strict)).exitCode, 0);
  });

  it('CHECK fails for a pod that should be captured, and for one that waits for an agent', async () => {
    const env = { CNI_COMMAND: 'CHECK' };
    enrol('["bank"]');
    assert.equal((await run(env)).exitCode, 0, 'not enrolled');
    enrol('["shop"]');
    assert.equal(parsed(await run(env)).code, 11, 'nobody answers');
    await agentSays(503, '{"error":"the pod is not captured, but listening"}');
    assert.match(parsed(await run(env)).msg ?? '', /not captured/);
  });

  it('GC hands on what is left, and never takes a missing list for an empty one', async () => {
    const env = { CNI_COMMAND: 'GC' };
    await agentSays(200, '{"removed":1}');
    const valid = [{ containerID: 'c0ffee', ifname: 'eth0' }];
    const keys = ['cni.dev/valid-attachments', 'cni.dev/attachments'];
    for (const key of keys) {
      assert.equal((await run(env, config({ [key]: valid }))).exitCode, 0, key);
    }
    assert.deepEqual(questions[1]?.body, {
      network: 'pods',
      attachments: [{ containerId: 'c0ffee', ifname: 'eth0' }],
    });
    for (const bad of [undefined, null, {}, [{}], [{ containerID: 1, ifname: 'x' }]]) {
      const outcome = await run(env, config({ 'cni.dev/valid-attachments': bad }));
      assert.equal(parsed(outcome).code, 7, JSON.stringify(bad));
    }
  });
});

describe('whatever a runtime hands over', () => {
  it('is answered by one JSON document, and never lets a pod of nobody knows where start', async () => {
    const commands = fc.constantFrom('ADD', 'DEL', 'CHECK', 'VERSION', 'STATUS', 'GC', '');
    const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }));
    const field = fc.oneof(text, fc.jsonValue());
    const stdin = fc.oneof(
      text,
      fc.json(),
      fc
        .record({
          cniVersion: fc.constantFrom('1.0.0', '0.3.1', 'x'),
          prevResult: field,
          extra: field,
        })
        .map((value) => JSON.stringify({ ...value, runDir: join(runDir, 'none') })),
    );
    const environment = fc.record({
      CNI_COMMAND: commands,
      CNI_CONTAINERID: text,
      CNI_NETNS: text,
      CNI_IFNAME: text,
      CNI_ARGS: text,
    });
    await fc.assert(
      fc.asyncProperty(environment, stdin, async (env, input) => {
        const outcome = await runPlugin({ env, stdin: input, clock: systemClock });
        if (outcome.stdout !== '') {
          JSON.parse(outcome.stdout);
        }
        const hasPod = env.CNI_ARGS.includes('K8S_POD_NAME');
        assert.ok(outcome.exitCode === 1 || env.CNI_COMMAND !== 'ADD' || !hasPod);
      }),
      { numRuns: 300 },
    );
  });
});
