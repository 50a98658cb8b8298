/** After `meshctl uninstall --purge` under captured pods: no rule, no socket, no file, no object of Ambit is left anywhere. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kubectl } from './kubectl.ts';
import { MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { ENROLLED, needsWaypoint, pod, service } from './objects.ts';

/** Ports 15000 to 15099 that something listens on in a namespace, and its rules. */
const LOOK = `
for n in /var/run/netns/*; do
  nsenter --net="$n" nft list ruleset
  nsenter --net="$n" nft list ruleset | grep -q ambit && echo captured
  nsenter --net="$n" cat /proc/net/tcp /proc/net/tcp6 | awk '$4=="0A" {print $2}' | grep -iE ':3A(9|A|F)[0-9A-F]$' | sed 's/^/listens /'
  nsenter --net="$n" ip rule list
  nsenter --net="$n" ip route show table all type local
done
nft list tables
ip rule list`;
const FILES =
  'find /run/ambit -mindepth 1 2>/dev/null; ls -A /opt/cni/bin; cat /etc/cni/net.d/*; ip link show type dummy';

let mesh: MeshCluster;
let namespace: string;
const filesBefore = new Map<string, string>();

before(async () => {
  mesh = await MeshCluster.open();
  // Without Ambit first, to see how the nodes are.
  await uninstall();
  for (const node of mesh.nodes) {
    filesBefore.set(node, await mesh.onNode(node, 'sh', '-c', FILES));
  }
  namespace = await mesh.namespace('gone', ENROLLED);
  for (const [i, node] of mesh.nodes.entries()) {
    await mesh.apply(pod(mesh.images, { name: `web-${i}`, namespace, node, program: 'go' }));
    await mesh.apply(service({ name: `web-${i}`, namespace }));
  }
  const client = { name: 'client', namespace, program: 'client', node: mesh.nodes[0] } as const;
  await mesh.apply(pod(mesh.images, client));
  await mesh.ready(namespace);
  await mesh.install();
  await mesh.apply(needsWaypoint(namespace));
  const selector = 'gateway.networking.k8s.io/gateway-name';
  await mesh.until('there is a waypoint', async () => {
    const pods = await mesh.pods(namespace, selector);
    return pods.some(({ phase }) => phase === 'Running');
  });
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

async function uninstall(): Promise<void> {
  const { code, stdout, stderr } = await mesh.meshctl('uninstall', '-y', '--purge', '--force');
  assert.equal(code, 0, `${stderr}${stdout}`);
  await kubectl(['wait', '--for=delete', `namespace/${SYSTEM}`, '--timeout=60s']);
}

const look = async (node: string): Promise<string> => await mesh.onNode(node, 'sh', '-c', LOOK);

describe('installing', { timeout: 60_000 }, () => {
  it('takes in the pods that ran before', async () => {
    const [first] = mesh.nodes;
    await mesh.until('both have rules', async () => {
      const captured = (await look(first)).match(/^captured/gm) ?? [];
      return captured.length >= 2;
    });
  });
});

describe('uninstalling', { timeout: 240_000 }, () => {
  it('takes every rule and listener off pods and nodes', async () => {
    const [first] = mesh.nodes;
    const captured = await look(first);
    assert.match(captured, /ambit/, 'the test sees rules while they are there');
    assert.match(captured, /listens/, 'and listeners');
    await uninstall();
    for (const node of mesh.nodes) {
      const left = (await look(node)).split('\n');
      assert.deepEqual(
        left.filter((line) => /ambit|istio|listens|\b150[0-9][0-9]\b|0x[45]39/i.test(line)),
        [],
        node,
      );
    }
  });

  it('leaves the files of nodes as they were', async () => {
    for (const node of mesh.nodes) {
      const files = await mesh.onNode(node, 'sh', '-c', FILES);
      assert.equal(files, filesBefore.get(node), node);
      assert.doesNotMatch(files, /ambit/, `${node}: nor did the uninstalling before it: ${files}`);
    }
  });

  it('leaves no object of Ambit', async () => {
    const kinds = await kubectl(['api-resources', '--verbs=list,delete', '-o', 'name']);
    const names = kinds
      .trim()
      .split('\n')
      .filter((kind) => !/^events/.test(kind))
      .join(',');
    for (const selector of [
      'app.kubernetes.io/part-of=ambit',
      'app.kubernetes.io/managed-by=ambit-controller',
      'gateway.istio.io/managed',
    ]) {
      const left = async () => await kubectl(['get', names, '-A', '-l', selector, '-o', 'name']);
      await mesh.until(`nothing is labelled ${selector}`, async () => (await left()) === '');
    }
    const all = await kubectl(['get', names, '-A', '-o', 'name', '--ignore-not-found']);
    const own = all.split('\n').filter((name) => /ambit|istio/.test(name));
    assert.deepEqual(
      own.filter((name) => !/ambit-test|namespaces?\/istio-system/.test(name)),
      [],
    );
    const taints = await kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].spec.taints}']);
    assert.doesNotMatch(taints, /ambit/);
    assert.equal(
      await kubectl(['-n', SYSTEM, 'get', 'pods', '-o', 'name', '--ignore-not-found']),
      '',
    );
  });

  it('leaves pods that go on talking, in clear', async () => {
    const caller = mesh.caller(namespace, 'client');
    for (const i of [0, 1]) {
      const url = `http://web-${i}.${namespace}/`;
      await mesh.until(`${url} answers`, async () => (await caller.http({ url })).status === 200);
    }
  });
});
