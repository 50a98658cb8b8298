import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { adoptListener, adoptUdp, descriptorOf, dialFrom } from './adopt.ts';
import { applyNft, runIp, writeSysctl } from './commands.ts';
import { createNetns } from './netns.ts';
import {
  bindUdp,
  closeFd,
  duplicate,
  hearNoMore,
  listenTcp,
  localAddressOf,
  originalDestination,
  tcpSocket,
} from './sockets.ts';
import type { Netns } from './types.ts';

const MARK = 0x539;
const LISTEN = { port: 0, backlog: 16, reusePort: false, transparent: false };
const descriptorCount = (): number => readdirSync('/proc/self/fd').length;
const portOf = (fd: number): number => localAddressOf(fd)?.port ?? 0;

let ns: Netns;
before(async () => {
  ns = createNetns();
  await runIp(ns, ['link', 'set', 'lo', 'up']);
});
after(() => {
  ns[Symbol.dispose]();
});

/** Dials and returns both ends. */
async function connectTo(server: Server, fd: number, address: string, port: number) {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = dialFrom(fd, { address, port });
  const [[socket]] = await Promise.all([accepted, once(client, 'connect')]);
  return { client, socket };
}

async function closeAll(server: Server, ...sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) {
    socket.destroy();
  }
  const closed = once(server, 'close');
  server.close();
  await closed;
}

describe('listenTcp and tcpSocket', () => {
  for (const [listen, dial, family] of [
    ['127.0.0.1', '127.0.0.1', 4],
    ['0.0.0.0', '127.0.0.1', 4],
    ['::', '127.0.0.1', 4],
    ['::', '::1', 6],
    ['::1', '::1', 6],
  ] as const) {
    it(`carry bytes inside the namespace: ${dial} to ${listen}`, async () => {
      const fd = listenTcp(ns, { ...LISTEN, address: listen });
      const port = portOf(fd);
      const server = await adoptListener(fd, { backlog: 16 });
      const { client, socket } = await connectTo(
        server,
        tcpSocket(ns, { family, mark: MARK }),
        dial,
        port,
      );
      client.end('hello');
      const chunks = await socket.setEncoding('utf8').toArray();
      assert.equal(chunks.join(''), 'hello');
      await closeAll(server, client, socket);
    });
  }

  it('is out of reach from another namespace', async () => {
    const fd = listenTcp(ns, { ...LISTEN, address: '127.0.0.1' });
    using other = createNetns();
    await runIp(other, ['link', 'set', 'lo', 'up']);
    const client = dialFrom(tcpSocket(other, { family: 4 }), {
      address: '127.0.0.1',
      port: portOf(fd),
    });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    closeFd(fd);
  });

  it('shares a port only with reusePort', () => {
    const first = listenTcp(ns, { ...LISTEN, address: '::', reusePort: true });
    const port = portOf(first);
    const second = listenTcp(ns, { ...LISTEN, address: '::', port, reusePort: true });
    const before = descriptorCount();
    assert.throws(() => listenTcp(ns, { ...LISTEN, address: '::', port }), {
      code: 'NETNS_BIND_FAILED',
      errno: 'EADDRINUSE',
    });
    assert.equal(descriptorCount(), before, 'the failed call left a descriptor');
    closeFd(first);
    closeFd(second);
  });

  it('refuses names, and addresses that the namespace does not have', () => {
    for (const address of ['localhost', '10.9.9.9', '']) {
      const before = descriptorCount();
      assert.throws(
        () => listenTcp(ns, { ...LISTEN, address }),
        { name: 'NetnsError' },
        `took "${address}"`,
      );
      assert.equal(descriptorCount(), before);
    }
  });

  it('binds a foreign source, and says so when it cannot', () => {
    const fd = tcpSocket(ns, { family: 4, mark: MARK, sourceAddress: '203.0.113.9' });
    assert.equal(localAddressOf(fd)?.address, '203.0.113.9');
    closeFd(fd);
    const v6 = tcpSocket(ns, { family: 6, sourceAddress: '2001:db8::9' });
    assert.equal(localAddressOf(v6)?.address, '2001:db8::9');
    closeFd(v6);
    const before = descriptorCount();
    for (const sourceAddress of ['2001:db8::9', 'no-address']) {
      assert.throws(() => tcpSocket(ns, { family: 4, sourceAddress }), {
        code: 'NETNS_SOURCE_UNAVAILABLE',
      });
    }
    assert.equal(descriptorCount(), before);
  });

  it('has the same port for one source to two destinations', async () => {
    using own = createNetns();
    await runIp(own, ['link', 'set', 'lo', 'up']);
    writeSysctl(own, 'net.ipv4.ip_local_port_range', '40001 40001');
    for (const [family, address, sourceAddress] of [
      [4, '127.0.0.1', '127.0.0.9'],
      [6, '::1', '::1'],
    ] as const) {
      const listeners = [50_001, 50_002].map((port) =>
        listenTcp(own, { ...LISTEN, address, port }),
      );
      const clients = [50_001, 50_002].map((port) =>
        dialFrom(tcpSocket(own, { family, sourceAddress }), { address, port }),
      );
      await Promise.all(clients.map((client) => once(client, 'connect')));
      assert.deepEqual(
        clients.map(({ localAddress, localPort }) => [localAddress, localPort]),
        clients.map(() => [sourceAddress, 40_001]),
      );
      for (const client of clients) client.destroy();
      for (const fd of listeners) closeFd(fd);
    }
  });

  it('binds none but its own, where that is asked', () => {
    const fd = tcpSocket(ns, { family: 4, sourceAddress: '127.0.0.9', isSourceOwn: true });
    assert.equal(localAddressOf(fd)?.address, '127.0.0.9');
    closeFd(fd);
    for (const [family, sourceAddress] of [
      [4, '203.0.113.9'],
      [6, '2001:db8::9'],
    ] as const) {
      assert.throws(() => tcpSocket(ns, { family, sourceAddress, isSourceOwn: true }), {
        code: 'NETNS_SOURCE_UNAVAILABLE',
        errno: 'EADDRNOTAVAIL',
      });
    }
  });
});

describe('duplicate', () => {
  it('keeps the backlog alive when the first descriptor is closed', async () => {
    const first = listenTcp(ns, { ...LISTEN, address: '127.0.0.1' });
    const port = portOf(first);
    const client = dialFrom(tcpSocket(ns, { family: 4 }), { address: '127.0.0.1', port });
    await once(client, 'connect');
    const second = duplicate(first);
    closeFd(first);
    const server = await adoptListener(second, { backlog: 16 });
    const [socket] = (await once(server, 'connection')) as [Socket];
    await closeAll(server, client, socket);
  });

  it('refuses a descriptor that is not open', () => {
    assert.throws(() => duplicate(100_000), { code: 'NETNS_SOCKET_FAILED', errno: 'EBADF' });
  });
});

describe('originalDestination', () => {
  it('knows where a redirected connection was going, both families', async () => {
    using pod = createNetns();
    await runIp(pod, ['link', 'set', 'lo', 'up']);
    await runIp(pod, ['link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1']);
    await runIp(pod, ['addr', 'add', '10.0.0.1/24', 'dev', 'v0']);
    await runIp(pod, ['addr', 'add', 'fd00::1/64', 'dev', 'v0', 'nodad']);
    await runIp(pod, ['link', 'set', 'v0', 'up']);
    await runIp(pod, ['link', 'set', 'v1', 'up']);
    const fd = listenTcp(pod, { ...LISTEN, address: '::' });
    const port = portOf(fd);
    await applyNft(
      pod,
      `table inet t { chain o { type nat hook output priority -100; tcp dport 80 redirect to :${port}; }; }`,
    );
    const server = await adoptListener(fd, { backlog: 16 });
    for (const [address, family] of [
      ['10.0.0.77', 4],
      ['fd00::77', 6],
    ] as const) {
      const { client, socket } = await connectTo(server, tcpSocket(pod, { family }), address, 80);
      const accepted = descriptorOf(socket);
      assert.notEqual(accepted, undefined);
      assert.deepEqual(originalDestination(accepted ?? -1), { address, port: 80 });
      client.destroy();
      socket.destroy();
      assert.equal(descriptorOf(socket), undefined);
    }
    await closeAll(server);
  });

  it('is undefined for a socket that is not connected', () => {
    const fd = tcpSocket(ns, { family: 4 });
    assert.equal(originalDestination(fd), undefined);
    closeFd(fd);
  });
});

describe('bindUdp', () => {
  for (const address of ['127.0.0.1', '::1']) {
    it(`answers on ${address} in the namespace`, async () => {
      const server = await adoptUdp(bindUdp(ns, { address, port: 0, mark: MARK, reusePort: true }));
      const client = await adoptUdp(bindUdp(ns, { address, port: 0, reusePort: false }));
      server.once('message', (bytes, peer) => {
        server.send(bytes, peer.port, peer.address);
      });
      client.send('ping', server.address().port, address);
      const [answer] = (await once(client, 'message')) as [Buffer];
      assert.equal(answer.toString(), 'ping');
      server.close();
      client.close();
    });
  }
});

describe('hearNoMore', () => {
  for (const address of ['127.0.0.1', '::1']) {
    it(`leaves what comes to the others of the port, and loses nothing that has come, on ${address}`, async () => {
      const fd = bindUdp(ns, { address, port: 0, reusePort: true });
      const first = await adoptUdp(fd);
      const { port } = first.address();
      const client = await adoptUdp(bindUdp(ns, { address, port: 0, reusePort: false }));
      first.on('message', (bytes, peer) => first.send(`first ${bytes}`, peer.port, peer.address));
      client.send('old', port, address);
      // It is sent when the tick is over, and read no sooner than in the next turn of the loop.
      await new Promise((resolve) => process.nextTick(resolve));
      hearNoMore(fd);
      const second = await adoptUdp(bindUdp(ns, { address, port, reusePort: true }));
      second.on('message', (bytes, peer) =>
        second.send(`second ${bytes}`, peer.port, peer.address),
      );
      const answers: string[] = [];
      const all = Promise.withResolvers<void>();
      const clients = [client];
      for (let i = 0; i < 8; i++) {
        clients.push(await adoptUdp(bindUdp(ns, { address, port: 0, reusePort: false })));
      }
      for (const one of clients) {
        one.on('message', (bytes) => {
          if (answers.push(bytes.toString()) === 1 + clients.length) all.resolve();
        });
        one.send('new', port, address);
      }
      await all.promise;
      assert.deepEqual(answers.sort(), ['first old', ...clients.map(() => 'second new')]);
      for (const socket of [first, second, ...clients]) socket.close();
    });
  }

  it('refuses what is no socket of IP', () => {
    assert.throws(() => hearNoMore(-1), { code: 'NETNS_SOCKET_FAILED' });
  });
});

it('leaves no descriptor behind', async () => {
  const round = async (): Promise<void> => {
    const fd = listenTcp(ns, { ...LISTEN, address: '::' });
    const port = portOf(fd);
    const server = await adoptListener(fd, { backlog: 16 });
    const { client, socket } = await connectTo(
      server,
      tcpSocket(ns, { family: 6, sourceAddress: '::1' }),
      '::1',
      port,
    );
    await closeAll(server, client, socket);
    const udp = await adoptUdp(bindUdp(ns, { address: '::1', port: 0, reusePort: false }));
    udp.close();
  };
  await round();
  const before = descriptorCount();
  for (let i = 0; i < 20; i++) {
    await round();
  }
  assert.equal(descriptorCount(), before);
});
