/** What others than loopback can reach of the controller besides 15012: metrics and readiness, and not a page more. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { freePort, TestController } from './controller.testing.ts';

let controller: TestController;
let metrics: number;
let status: number;
before(async () => {
  [metrics, status] = [await freePort(), await freePort()];
  controller = await TestController.create();
  await controller.start({
    AMBIT_METRICS_ADDRESS: `127.0.0.1:${metrics}`,
    AMBIT_STATUS_ADDRESS: `127.0.0.1:${status}`,
  });
});
after(async () => {
  await controller.dispose();
});

const statusOf = async (port: number, path: string, method = 'GET'): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;

it('19 CVE-2026-31838: shows nothing but metrics and readiness to others than loopback', async () => {
  const open = {
    [metrics]: ['/metrics', '/ready', '/healthz/ready'],
    [status]: ['/ready', '/healthz/ready'],
  };
  const index = String((await controller.get('/')).json);
  const pages = [...index.matchAll(/href="([^"]+)"/g)].map(([, path = '']) => `/${path}`);
  assert.ok(pages.includes('/v1/objects') && pages.length > 10, index);
  const others = [
    ...pages,
    ...['/config_dump', '/debug/pprof/heap', '/debug/pprof/profile', '/quitquitquit'],
    ...['/metrics/../v1/objects', '/metrics/%2e%2e/v1/objects', '/ready/v1/objects'],
  ];
  for (const [port, paths] of Object.entries(open)) {
    for (const path of paths) {
      assert.equal(await statusOf(Number(port), path), 200, path);
    }
    for (const path of others.filter((other) => !paths.includes(other))) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
        assert.equal(await statusOf(Number(port), path, method), 404, `${method} ${path}`);
      }
    }
  }
});
