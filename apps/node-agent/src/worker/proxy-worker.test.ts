import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { policy, service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

/** Two captured pods, a client and a server that echoes; the server's port. */
async function twoPods(rig: WorkerRig): Promise<number> {
  await rig.clientAndServer();
  return await rig.serve(2, (socket) => socket.pipe(socket));
}

describe('ProxyWorker', () => {
  it('carries a connection from pod to pod through a tunnel', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('hello'));
    client.conn.end();
    assert.equal(await client.closed, undefined);
    assert.equal(client.text, 'hello');
    await rig.until(
      () => rig.lines.filter((l) => l.message === 'connection complete').length === 2,
    );
    const inbound = rig.lines.find((l) => l['direction'] === 'inbound');
    assert.equal(inbound?.['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
    assert.equal(inbound?.['src.workload'], 'client');
    assert.equal(inbound?.['dst.hbone_addr'], `${rig.address(2)}:${port}`);
    assert.equal(inbound?.['bytes_recv'], 5);
    assert.equal(inbound?.['bytes_sent'], 5);
    const outbound = rig.lines.find((l) => l['direction'] === 'outbound');
    assert.equal(outbound?.['dst.addr'], `${rig.address(2)}:15008`);
    assert.equal(outbound?.['error'], undefined);
  });

  it('passes an unknown destination through', async () => {
    await using rig = new WorkerRig();
    await twoPods(rig);
    const port = await rig.serve(9, (socket) => socket.end('plain'));
    const client = await rig.connect(1, { address: rig.address(9), port });
    client.conn.end();
    await client.closed;
    assert.equal(client.text, 'plain');
  });

  it('carries a server that talks first and a client that half-closes', async () => {
    await using rig = new WorkerRig();
    await twoPods(rig);
    const port = await rig.serve(2, (socket) => {
      socket.write('banner\n');
      let got = '';
      socket.on('data', (chunk) => {
        got += chunk.toString();
      });
      socket.on('end', () => socket.end(`got ${got}`));
    });
    const client = await rig.connect(1, { address: rig.address(2), port });
    await client.until((r) => r.text === 'banner\n');
    client.conn.write(Buffer.from('question'));
    client.conn.end();
    await client.closed;
    assert.equal(client.text, 'banner\ngot question');
  });

  it('refuses with an RST what the mesh knows and cannot reach', async () => {
    await using rig = new WorkerRig();
    await twoPods(rig);
    rig.resources({
      addresses: [
        {
          kind: 'service',
          service: service('empty', {
            addresses: [{ network: '', address: '10.9.9.9' }],
            ports: [{ servicePort: 80, targetPort: 80, appProtocol: 'TCP' }],
          }),
        },
      ],
    });
    const client = await rig.connect(1, { address: '10.9.9.9', port: 80 });
    assert.ok((await client.closed) instanceof Error, 'a reset, not an end');
    assert.match(String(rig.line('connection failed')?.['error']), /no healthy upstream/);
  });

  it('tells the client of a closed port by closing, and the log why', async () => {
    await using rig = new WorkerRig();
    await twoPods(rig);
    const client = await rig.connect(1, { address: rig.address(2), port: 9 });
    assert.ok((await client.closed) instanceof Error);
    const failed = rig.lines.filter((l) => l.level === 'error');
    assert.deepEqual(failed.map((l) => [l['direction'], l['response_flags']]).sort(), [
      ['inbound', 'CONNECT'],
      ['outbound', 'CONNECT'],
    ]);
    assert.match(String(failed.find((l) => l['direction'] === 'outbound')?.['error']), /503/);
  });

  it('refuses by policy, names policy and rule, and opens again', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    rig.resources({
      policies: [
        policy('no-client', 'DENY', { principals: [{ kind: 'suffix', value: '/sa/client' }] }),
      ],
    });
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    const line = rig.lines.find((l) => l['direction'] === 'inbound');
    assert.equal(line?.['response_flags'], 'DENY');
    assert.equal(line?.['policy'], 'shop/no-client');
    assert.equal(line?.['rule'], 0);
    assert.match(String(line?.['error']), /policy rejection.*shop\/no-client rule 0/);
    rig.resources({ removedPolicies: ['shop/no-client'] });
    const again = await rig.connect(1, { address: rig.address(2), port });
    again.conn.end();
    assert.equal(await again.closed, undefined);
  });

  it('cuts an open tunnel that a new selector policy forbids, and leaves the others', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const other = await rig.serve(2, (socket) => socket.pipe(socket));
    const cut = await rig.connect(1, { address: rig.address(2), port });
    const kept = await rig.connect(1, { address: rig.address(2), port: other });
    for (const client of [cut, kept]) {
      client.conn.write(Buffer.from('x'));
      await client.until((r) => r.bytes === 1);
    }
    rig.resources({
      policies: [
        policy('late', 'DENY', { destinationPorts: [port] }, { scope: 'WORKLOAD_SELECTOR' }),
      ],
      addresses: [
        {
          kind: 'workload',
          workload: workload('server', {
            addresses: [rig.address(2)],
            authorizationPolicies: ['shop/late'],
          }),
        },
      ],
    });
    await cut.ended;
    kept.conn.write(Buffer.from('y'));
    await kept.until((r) => r.bytes === 2);
    const line = rig.lines.find((l) => l['response_flags'] === 'DENY');
    assert.match(String(line?.['error']), /policy change.*shop\/late/);
  });

  it('refuses while a policy that the workload names is missing', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    rig.workloads(
      workload('server', { addresses: [rig.address(2)], authorizationPolicies: ['shop/absent'] }),
    );
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    assert.match(
      String(rig.lines.find((l) => l['direction'] === 'inbound')?.['error']),
      /until policy shop\/absent has arrived/,
    );
  });

  it('admits only the bound waypoint to a guarded port', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const guard = { ports: [port], exclusive: true, because: ['AuthorizationPolicy/shop/http'] };
    const guarded = (waypointIdentities: readonly string[]): void =>
      rig.resources({
        addresses: [
          {
            kind: 'workload',
            workload: workload('server', {
              addresses: [rig.address(2)],
              // The agent would refuse this one; behind the waypoint it is not asked.
              authorizationPolicies: ['shop/absent'],
              guard: { ...guard, waypointIdentities } as never,
            }),
          },
        ],
      });
    guarded(['spiffe://cluster.local/ns/shop/sa/waypoint']);
    const refused = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await refused.closed) instanceof Error);
    const line = rig.lines.find((l) => l['direction'] === 'inbound');
    assert.equal(line?.['response_flags'], 'DENY');
    assert.match(String(line?.['error']), /guarded, because of AuthorizationPolicy\/shop\/http/);

    guarded(['spiffe://cluster.local/ns/shop/sa/client']);
    const admitted = await rig.connect(1, { address: rig.address(2), port });
    admitted.conn.write(Buffer.from('x'));
    await admitted.until((r) => r.bytes === 1);
    guarded([]);
    await admitted.ended;
  });

  it('waits for the record of a pod, and for its certificate', async () => {
    await using rig = new WorkerRig();
    await rig.addPod(1, 'client');
    await rig.addPod(2, 'server');
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const client = await rig.connect(1, { address: rig.address(2), port });
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    await Promise.resolve();
    rig.certify('client');
    rig.certify('server');
    client.conn.end();
    assert.equal(await client.closed, undefined);
  });

  it('refuses at once while the certificate is unavailable', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    rig.send({
      kind: 'certificate-unavailable',
      identity: 'spiffe://cluster.local/ns/shop/sa/client',
      reason: 'the CA does not answer',
    });
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    const line = rig.lines.find((l) => l['direction'] === 'outbound');
    assert.equal(line?.['response_flags'], 'IDENTITY_ERROR');
    assert.match(String(line?.['error']), /the CA does not answer/);
  });

  it('never takes a record of another service account for the pod', async () => {
    await using rig = new WorkerRig({ limits: { workloadWaitMs: 1 } });
    rig.workloads(workload('client', { addresses: [rig.address(1)], serviceAccount: 'admin' }));
    await rig.addPod(1, 'client');
    const client = await rig.connect(1, { address: rig.address(9), port: 80 });
    assert.ok((await client.closed) instanceof Error);
    assert.equal(rig.line('connection failed')?.['code'], 'WORKER_WORKLOAD_UNKNOWN');
  });

  it('never takes the record of an earlier pod of the same name for the pod', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    rig.workloads(workload('client', { addresses: [rig.address(8)] }));
    const first = await rig.connect(1, { address: rig.address(2), port });
    first.conn.write(Buffer.from('x'));
    await new Promise(setImmediate);
    assert.equal(first.bytes, 0);
    rig.workloads(workload('client', { addresses: [rig.address(8), rig.address(1)] }));
    await first.until((r) => r.bytes === 1);
    first.conn.end();
  });

  it('refuses when only the record of an earlier pod is there', async () => {
    await using rig = new WorkerRig({ limits: { workloadWaitMs: 1 } });
    rig.workloads(workload('client', { addresses: [rig.address(8)] }));
    await rig.addPod(1, 'client');
    const client = await rig.connect(1, { address: rig.address(9), port: 80 });
    assert.ok((await client.closed) instanceof Error);
    assert.equal(rig.line('connection failed')?.['code'], 'WORKER_WORKLOAD_UNKNOWN');
  });

  it('judges plaintext without an identity', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const open = await rig.connect(2, { address: rig.address(2), port }, { listener: 'inbound' });
    open.conn.write(Buffer.from('x'));
    await open.until((r) => r.bytes === 1);
    rig.resources({
      policies: [policy('strict', 'DENY', { notPrincipals: [{ kind: 'presence' }] })],
    });
    await open.closed;
    const strict = await rig.connect(2, { address: rig.address(2), port }, { listener: 'inbound' });
    assert.ok((await strict.closed) instanceof Error);
    assert.equal(strict.bytes, 0);
  });

  for (const port of [15001, 15006, 15008]) {
    it(`refuses plaintext to port ${port} and a tunnel to it`, async () => {
      await using rig = new WorkerRig();
      await twoPods(rig);
      const to = { address: rig.address(2), port };
      const plain = await rig.connect(2, to, { listener: 'inbound' });
      assert.ok((await plain.closed) instanceof Error);
      const tunnel = await rig.connect(1, to);
      assert.ok((await tunnel.closed) instanceof Error);
      assert.match(String(rig.lines.at(-1)?.['error']), /ILLEGAL_PORT|http status: 400/);
    });
  }

  it('counts opened, closed and bytes once for each reporter', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.alloc(1000));
    client.conn.end();
    await client.closed;
    await rig.until(
      () => rig.lines.filter((l) => l.message === 'connection complete').length === 2,
    );
    rig.send({ kind: 'report', id: 7, what: 'metrics' });
    const report = rig.messages.find((m) => m.kind === 'report');
    const families = report?.kind === 'report' ? (report.value as never[]) : [];
    const value = (name: string): unknown =>
      (families as { name: string; values: { labels: { reporter: string }; value: number }[] }[])
        .find((f) => f.name === name)
        ?.values.map((v) => [v.labels.reporter, v.value])
        .sort();
    const both = (n: number): unknown => [
      ['destination', n],
      ['source', n],
    ];
    assert.deepEqual(value('istio_tcp_connections_opened_total'), both(1));
    assert.deepEqual(value('istio_tcp_connections_closed_total'), both(1));
    assert.deepEqual(value('istio_tcp_received_bytes_total'), both(1000));
    assert.deepEqual(value('istio_tcp_sent_bytes_total'), both(1000));
  });

  it('drains: takes nothing new, ends what is open at the deadline and names it', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    rig.send({ kind: 'drain', deadlineMs: 200 });
    await assert.rejects(rig.connect(1, { address: rig.address(2), port }));
    client.conn.write(Buffer.from('y'));
    await client.until((r) => r.bytes === 2);
    await rig.until(() => rig.messages.some((m) => m.kind === 'drained'));
    const drained = rig.messages.find((m) => m.kind === 'drained');
    assert.equal(drained?.kind === 'drained' && drained.cutOff.length, 2);
    assert.ok((await client.closed) instanceof Error);
  });

  it('drains pods whose start is under way, too', async () => {
    await using rig = new WorkerRig();
    const started = [rig.addPod(1, 'first'), rig.addPod(2, 'second')];
    rig.send({ kind: 'drain', deadlineMs: 200 });
    await Promise.all(started);
    await rig.until(() => rig.messages.some((m) => m.kind === 'drained'));
    for (const message of rig.messages) {
      assert.equal(message.kind === 'pod-started' ? message.error : undefined, undefined);
    }
    for (const pod of [1, 2]) {
      await assert.rejects(rig.connect(pod, { address: rig.address(9), port: 80 }));
    }
  });

  it('releases a pod: no new connections, open ones go on; kill ends them', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('x'));
    await client.until((r) => r.bytes === 1);
    rig.send({ kind: 'pod-removed', uid: 'uid-client', mode: 'release' });
    await assert.rejects(rig.connect(1, { address: rig.address(2), port }));
    client.conn.write(Buffer.from('y'));
    await client.until((r) => r.bytes === 2);
    rig.send({ kind: 'pod-removed', uid: 'uid-server', mode: 'kill' });
    await client.ended;
  });

  it('finds a pod to remove whose start is under way', async () => {
    await using rig = new WorkerRig();
    const started = rig.addPod(1, 'client');
    rig.send({ kind: 'pod-removed', uid: 'uid-client', mode: 'kill' });
    await started;
    await assert.rejects(rig.connect(1, { address: rig.address(9), port: 80 }));
  });

  it('answers a pod whose listeners fail', async () => {
    await using rig = new WorkerRig();
    await rig.addPod(1, 'first');
    await rig.addPod(1, 'second');
    const answer = rig.messages.find((m) => m.kind === 'pod-started' && m.uid === 'uid-second');
    assert.match(String(answer?.kind === 'pod-started' && answer.error), /EADDRINUSE/);
  });

  it('resets connections beyond the bounds of a pod and counts them', async () => {
    await using rig = new WorkerRig({ limits: { connectionsPerPodMax: 1, waitingPerPodMax: 1 } });
    rig.workloads(workload('client', { addresses: [rig.address(1)] }));
    await rig.addPod(1, 'client');
    const port = await rig.serve(9, (socket) => socket.pipe(socket));
    const to = { address: rig.address(9), port };
    const first = await rig.connect(1, to);
    first.conn.write(Buffer.from('x'));
    await first.until((r) => r.bytes === 1);
    const second = await rig.connect(1, to);
    const third = await rig.connect(1, to);
    assert.ok((await third.closed) instanceof Error, 'the third is reset');
    first.conn.end();
    await first.closed;
    second.conn.write(Buffer.from('y'));
    await second.until((r) => r.bytes === 1);
  });

  it('keeps AUDIT to the log', async () => {
    await using rig = new WorkerRig();
    const port = await twoPods(rig);
    rig.resources({
      policies: [policy('watch', 'AUDIT', { namespaces: [{ kind: 'presence' }] })],
    });
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.end();
    assert.equal(await client.closed, undefined);
    assert.deepEqual(rig.line('policy noted')?.['audited'], [
      { policy: 'shop/watch', rule: 0, clause: 'from' },
    ]);
  });
});
