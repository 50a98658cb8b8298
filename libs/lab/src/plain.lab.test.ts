/** A lab without a mesh: what a cluster does by itself. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Lab } from './lab.ts';
import { labStart } from './start.ts';

const SERVER = `
require('node:http').createServer((request, response) => {
  if (request.url === '/ready' && process.env.NEVER_READY) { response.statusCode = 503; }
  if (request.url === '/die') { process.exit(3); }
  response.end(process.env.POD_NAME + ' ' + request.socket.remoteAddress);
}).listen(8080, '::');`;

const YAML = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          command: [node, -e, ${JSON.stringify(SERVER)}]
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /ready, port: http }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: v1
kind: Service
metadata: { name: web-headless, namespace: shop }
spec:
  clusterIP: None
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: v1
kind: Service
metadata: { name: empty, namespace: shop }
spec:
  selector: { app: nothing }
  ports: [{ name: http, port: 80 }]
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: shop, labels: { app: client } }
spec:
  nodeName: node1
  containers:
    - name: client
      command: [node, -e, 'setInterval(() => {}, 1000)']
`;

/** A program for `node -e` that prints the body, or the code of the error. */
function get(url: string): string[] {
  const program = `
    const request = require('node:http').get(${JSON.stringify(url)}, { agent: false }, (response) => {
      response.setEncoding('utf8').on('data', (text) => process.stdout.write(text));
    });
    request.on('error', (error) => console.log(error.code));`;
  return ['node', '-e', program];
}

function lookup(name: string, family: 4 | 6): string[] {
  const program = `
    require('node:dns').lookup(${JSON.stringify(name)}, { family: ${family}, all: true }, (error, found) => {
      console.log(error ? error.code : found.map((one) => one.address).sort().join(' '));
    });`;
  return ['node', '-e', program];
}

describe('a lab without a mesh', () => {
  let lab: Lab;
  let root: string;
  const say = async (argv: string[]): Promise<string> => {
    const { stdout, stderr } = await lab.exec('shop/client', argv);
    return `${stdout}${stderr}`.trim();
  };

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'ambit-lab-'));
    lab = await labStart({ name: 'plain', root, mesh: false });
    lab.apply(YAML);
    await lab.ready();
  });
  after(async () => {
    await lab.close();
    assert.equal(existsSync(join(root, 'plain')), false, 'the folder of the lab is gone');
    rmSync(root, { recursive: true });
  });

  it('spreads the pods of a deployment over its nodes', () => {
    const nodes = lab.cluster.pods.all
      .filter(({ plan }) => plan.labels['app'] === 'web')
      .map((pod) => pod.node.name);
    assert.deepEqual(nodes.sort(), ['node1', 'node2']);
  });

  it('carries connections within and across nodes, in both families, from the pod address', async () => {
    const client = lab.pod('shop/client');
    const servers = lab.cluster.pods.all.filter(({ plan }) => plan.labels['app'] === 'web');
    for (const pod of servers) {
      for (const [i, address] of pod.addresses.entries()) {
        const host = address.includes(':') ? `[${address}]` : address;
        const answer = await say(get(`http://${host}:8080/`));
        const source = i === 0 ? `::ffff:${client.addresses[0]}` : client.addresses[1];
        assert.equal(answer, `${pod.plan.name} ${source}`, `to ${address} on ${pod.node.name}`);
      }
    }
  });

  it('spreads connections to a service over its ready pods, by name and in both families', async () => {
    const service = lab.status().services.find(({ name }) => name === 'web');
    const [v4 = '', v6 = ''] = service?.addresses ?? [];
    for (const host of ['web', 'web.shop', 'web.shop.svc.cluster.local', v4, `[${v6}]`]) {
      const seen = new Set<string>();
      for (let i = 0; i < 12; i += 1) {
        seen.add((await say(get(`http://${host}/`))).split(' ')[0] ?? '');
      }
      const pods = lab.cluster.pods.all.filter(({ plan }) => plan.labels['app'] === 'web');
      assert.deepEqual([...seen].sort(), pods.map(({ plan }) => plan.name).sort(), host);
    }
  });

  it('refuses a connection to a service without endpoints', async () => {
    assert.equal(await say(get('http://empty/')), 'ECONNREFUSED');
  });

  it('answers names of services and pods, and nothing else', async () => {
    const servers = lab.cluster.pods.all.filter(({ plan }) => plan.labels['app'] === 'web');
    const v4 = servers.map(({ addresses }) => addresses[0] ?? '').sort();
    assert.equal(await say(lookup('web-headless', 4)), v4.join(' '), 'headless: the pods');
    const dashed = (v4[0] ?? '').replaceAll('.', '-');
    assert.equal(await say(lookup(`${dashed}.shop.pod.cluster.local`, 4)), v4[0], 'pod name');
    assert.equal(await say(lookup('web.other', 4)), 'ENOTFOUND', 'another namespace');
    assert.equal(await say(lookup('example.com', 4)), 'ENOTFOUND', 'the outside');
  });

  it('takes a pod out of its service while it is not ready, and restarts it when it ends', async () => {
    const pod = lab.cluster.pods.all.find(({ plan }) => plan.labels['app'] === 'web');
    assert.ok(pod);
    await say(get(`http://${pod.addresses[0]}:8080/die`));
    await lab.waitFor(() => pod.restarts === 1, { what: 'the restart' });
    await lab.waitFor(() => pod.isReady, { what: 'the pod to be ready again' });
    assert.equal(
      await say(get(`http://${pod.addresses[0]}:8080/x`)).then((text) => text.split(' ')[0]),
      pod.plan.name,
    );
  });

  it('publishes pods with their status, services with their addresses, and nodes', async () => {
    const pod = lab.pod('shop/client');
    const text = readFileSync(join(lab.paths.objects, 'Pod.shop.client.yaml'), 'utf8');
    assert.match(text, new RegExp(`podIP: ${pod.addresses[0]}`));
    assert.match(text, /type: Ready\n\s+status: "True"/);
    const service = readFileSync(join(lab.paths.objects, 'Service.shop.web.yaml'), 'utf8');
    assert.match(service, /clusterIPs:\n\s+- 10\.242\./);
    assert.match(service, /targetPort: http/, 'the rest is as written');
    assert.ok(existsSync(join(lab.paths.objects, 'Node.node2.yaml')));
  });

  it('rolls a deployment over: new pods serve before the old ones go', async () => {
    const before = lab.cluster.pods.all.map(({ key }) => key);
    lab.apply(
      YAML.split('---')[1]?.replace(
        'containers:',
        'serviceAccountName: other\n      containers:',
      ) ?? '',
    );
    let failures = 0;
    await lab.waitFor(
      async () => {
        failures += (await say(get('http://web/'))).startsWith('web-') ? 0 : 1;
        return (
          lab.cluster.isSettled &&
          lab.cluster.pods.all.every(
            ({ key, plan }) => plan.name === 'client' || !before.includes(key),
          )
        );
      },
      { what: 'the new pods' },
    );
    assert.equal(failures, 0, 'no request failed meanwhile');
  });

  it('says why a pod does not run', async () => {
    lab.apply(
      '{apiVersion: v1, kind: Pod, metadata: {name: silent}, spec: {containers: [{name: main, image: nginx}]}}',
    );
    await lab.waitFor(
      () =>
        lab
          .status()
          .pods.some(({ name, reason }) => name === 'silent' && reason.includes('has no command')),
      { what: 'the reason' },
    );
    lab.delete('Pod/default/silent');
    await lab.ready();
  });

  it('sees what crosses between nodes in clear', async () => {
    const server = lab.cluster.pods.all.find(
      (pod) => pod.node.name === 'node2' && pod.plan.labels['app'] === 'web',
    );
    const capture = await lab.capture();
    await say(get(`http://${server?.addresses[0]}:8080/canary-in-clear`));
    await capture.stop();
    assert.equal(capture.contains('canary-in-clear'), true);
    assert.equal(capture.contains('canary-never-sent'), false);
  });
});
