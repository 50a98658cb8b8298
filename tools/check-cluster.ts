/**
 * `npm run test:cluster`: the tests that need Kubernetes. A cluster is given by AMBIT_TEST_KUBECONFIG or KUBECONFIG (and
 * AMBIT_IMAGE_LOADER); else the tool of AMBIT_CLUSTER_TOOL brings up two, one after the other, and takes both down again,
 * however this ends: an API server alone for the tests that need no more, and two nodes for the scenarios.
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { record, root } from './check-report.ts';
import { runTests, stopTests } from './check-tests.ts';

const TOOL = '../shared/cluster/cluster';
const SCENARIOS = 'libs/testkit/src/cluster/';
/** One that stands brings a cluster up in ten seconds. */
const UP_MS_MAX = 180_000;
const BUILD_MS_MAX = 30 * 60_000;
/** How often a build, which is silent, says that it goes on. */
const PROGRESS_MS = 30_000;
const FILE_MS_MAX = 300_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** All `files` are relative to the root. Without a cluster and without the tool, that is one failure. */
export async function clusterTests(files: readonly string[]): Promise<void> {
  const scenarios = files.filter((file) => file.startsWith(SCENARIOS));
  const others = files.filter((file) => !file.startsWith(SCENARIOS));
  if (files.length === 0) {
    record('cluster', 'no test files found', performance.now());
    return;
  }
  const given = process.env['AMBIT_TEST_KUBECONFIG'] ?? process.env['KUBECONFIG'] ?? '';
  if (given !== '') {
    process.env['KUBECONFIG'] = given;
    await runFiles('cluster', [...others, ...scenarios]);
    return;
  }
  const tool = new ClusterTool();
  const missing = tool.missing();
  if (missing !== undefined) {
    record('cluster', missing, performance.now());
    return;
  }
  if (!(await tool.build())) {
    return;
  }
  if (others.length > 0) {
    await tool.run(['--api-only'], async (kubeconfig) => {
      process.env['AMBIT_TEST_API_KUBECONFIG'] = kubeconfig;
      await runFiles('API server', others);
      delete process.env['AMBIT_TEST_API_KUBECONFIG'];
    });
  }
  if (scenarios.length > 0) {
    await tool.run(['--nodes', '2'], async (kubeconfig) => {
      process.env['KUBECONFIG'] = kubeconfig;
      process.env['AMBIT_IMAGE_LOADER'] = `${tool.path} import`;
      process.env['AMBIT_KUBECTL'] = `${tool.path} kubectl`;
      process.env['AMBIT_NODE_POWER'] = tool.path;
      await runFiles('cluster of two nodes', scenarios);
    });
  }
}

/** One at a time: they share a cluster, and two cores. */
async function runFiles(name: string, files: readonly string[]): Promise<void> {
  // A test that fails leaves watches open, which a server that goes on keeps alive.
  await runTests({ name, files, concurrency: 1, timeoutMs: FILE_MS_MAX, forceExit: true });
}

class ClusterTool {
  readonly path = resolve(root, process.env['AMBIT_CLUSTER_TOOL'] ?? TOOL);

  constructor() {
    // The same for every run of this checkout, so that one that was killed is cleared away by the next.
    const id = createHash('sha256').update(root).digest('hex').slice(0, 6);
    const name = `ambit-tier-${id}`;
    process.env['MESH_CLUSTER_NAME'] = name;
    process.env['MESH_CLUSTER_STATE'] = join(tmpdir(), `mc-${name}`);
  }

  /** Why it cannot be used. */
  missing(): string | undefined {
    const otherwise =
      'give a cluster by KUBECONFIG (and AMBIT_IMAGE_LOADER, for instance "kind load image-archive")';
    try {
      accessSync(this.path, constants.X_OK);
    } catch {
      return `no cluster: ${otherwise}, or name a tool that brings one up by AMBIT_CLUSTER_TOOL; "${this.path}" is none`;
    }
    return process.getuid?.() === 0
      ? undefined
      : `"${this.path}" needs root for nodes: run \`sudo npm run test:cluster\`, or ${otherwise}`;
  }

  async build(): Promise<boolean> {
    const startedAt = performance.now();
    const progress = setInterval(() => {
      const seconds = Math.round((performance.now() - startedAt) / 1_000);
      console.log(`  ...   builds Kubernetes, once on a machine, about ten minutes: ${seconds} s`);
    }, PROGRESS_MS);
    const failure = await this.#call(['build'], BUILD_MS_MAX);
    clearInterval(progress);
    if (failure.text !== undefined) {
      record('cluster build', failure.text, startedAt);
    }
    return failure.text === undefined;
  }

  async run(args: readonly string[], use: (kubeconfig: string) => Promise<void>): Promise<void> {
    const stop = (): void => {
      stopTests();
      this.#down();
      process.exit(130);
    };
    process.once('SIGINT', stop).once('SIGTERM', stop);
    try {
      // What a killed run left.
      this.#down();
      const startedAt = performance.now();
      const up = await this.#call(['up', ...args], UP_MS_MAX);
      record(`cluster up ${args.join(' ')}`, up.text, startedAt);
      if (up.text === undefined) {
        await use((await this.#call(['kubeconfig'], UP_MS_MAX)).output.trim());
      }
    } finally {
      const startedAt = performance.now();
      const failure = this.#down();
      if (failure !== undefined) {
        record('cluster down', failure, startedAt);
      }
      process.off('SIGINT', stop).off('SIGTERM', stop);
    }
  }

  /** Not asynchronous, so that it also works in a process that was told to end. */
  #down(): string | undefined {
    const { status, stderr, error } = spawnSync(this.path, ['down'], { encoding: 'utf8' });
    return status === 0 ? undefined : `${error?.message ?? ''}${stderr}`;
  }

  async #call(
    args: readonly string[],
    timeout: number,
  ): Promise<{ readonly output: string; readonly text?: string }> {
    const { promise, resolve: done } = Promise.withResolvers<{ output: string; text?: string }>();
    const options = { timeout, maxBuffer: OUTPUT_BYTES_MAX };
    execFile(this.path, args, options, (error, stdout, stderr) => {
      done(error === null ? { output: stdout } : { output: stdout, text: `${stderr}${error}` });
    });
    return await promise;
  }
}
