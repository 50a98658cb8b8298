import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { createProgram } from './program.ts';
import { FakeController, meshOfAllTests, runMeshctl } from './testing.ts';
import { FINE_MESH } from './testing-meshes.ts';
import { VERSION } from './version.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** As it should be. */
const fine = meshOfAllTests(FINE_MESH);
const { run } = fine;

describe('meshctl without an answer', { concurrency: 3 }, () => {
  for (const [title, args, controller, message] of [
    ['no lab runs', ['status'], undefined, /no controller to ask/],
    [
      'there is no such socket',
      ['get', 'workloads'],
      '/tmp/nobody.sock',
      /why: there is no such socket/,
    ],
    ['nobody listens', ['why', 'a', 'b:1'], 'http://127.0.0.1:1', /why: nobody listens there/],
  ] as const) {
    it(`answers 69 to ${args[0]} when ${title}`, async () => {
      const { code, stderr } = await runMeshctl(
        args,
        controller === undefined ? {} : { controller },
      );
      assert.match(stderr, message);
      assert.equal(code, 69);
    });
  }

  for (const [title, status, body] of [
    ['an error', 500, '{"error":"not ready"}'],
    ['no JSON', 200, '<html>'],
    ['other JSON', 200, '[]'],
    ['entries without identity', 200, '{"items":[{}]}'],
  ] as const) {
    it(`answers 69 to ${title}`, async () => {
      await using fake = await FakeController.startWith(() => ({ status, text: body }));
      const { code } = await runMeshctl(['get', 'workloads', '--controller', fake.socket]);
      assert.equal(code, 69);
    });
  }

  it('refuses a snapshot of another format', async () => {
    await using fake = await FakeController.startWith(() => ({
      status: 200,
      text: '{"format":9}',
    }));
    const { code, stderr } = await runMeshctl(['why', 'a', 'b:1', '--controller', fake.socket]);
    assert.match(stderr, /not a snapshot of the mesh/);
    assert.equal(code, 1);
  });
});

describe('meshctl itself', { concurrency: 3 }, () => {
  it('knows its version', async () => {
    assert.equal(VERSION, packageJson.version);
    const own = await runMeshctl(['version', '--client', '-o', 'json']);
    assert.equal((JSON.parse(own.stdout) as { meshctl: string }).meshctl, VERSION);
    const both = await run('version');
    assert.match(both.stdout, /controller {2}0\.1\.0\n$/);
    const alone = await runMeshctl(['version']);
    assert.match(alone.stdout, /controller {2}none answers\n$/);
    assert.equal(alone.code, 0);
  });

  it('completes every command in every shell', async () => {
    const names = createProgram()
      .commands.map((command) => command.name())
      .filter((name) => !name.startsWith('__'));
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout, code } = await runMeshctl(['completion', shell]);
      assert.equal(code, 0);
      for (const name of names) assert.ok(stdout.includes(name), `${shell}: ${name}`);
    }
    assert.equal((await runMeshctl(['completion', 'tcsh'])).code, 2);
  });

  for (const [line, expected] of [
    ['meshctl pro', ['proxy-config']],
    ['meshctl pc rou', ['routes']],
    ['meshctl pc r --fq', ['--fqdn']],
    ['meshctl waypoint ap', ['apply']],
    ['meshctl enroll sh', ['shop']],
    ['meshctl get pods -n s', ['shop']],
    ['meshctl pc secrets n', []],
    ['meshctl status -o y', ['yaml']],
  ] as const) {
    it(`bash completes "${line}"`, async () => {
      const { stdout: script } = await runMeshctl(['completion', 'bash']);
      const words = line.split(' ');
      const program = `meshctl() { ${JSON.stringify(process.execPath)} ${JSON.stringify(MAIN)} "$@"; }
${script}
COMP_WORDS=(${words.join(' ')}) COMP_CWORD=${words.length - 1}
_meshctl
printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = await promisify(execFile)('bash', ['-c', program], {
        env: { ...process.env, AMBIT_CONTROLLER: fine.socket },
      });
      assert.deepEqual(
        stdout.split('\n').filter((word) => word !== ''),
        [...expected],
      );
    });
  }

  it('completes nothing, and fails never, where nobody answers', async () => {
    const { stdout, code } = await runMeshctl(['__complete', 'namespaces']);
    assert.equal(stdout, '');
    assert.equal(code, 0);
  });

  it('helps with an example everywhere', () => {
    const program = createProgram();
    for (const command of [program, ...program.commands.flatMap(withSubcommands)]) {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      assert.match(help, /Examples?:\n {2}\S/, command.name());
    }
  });

  it('shows times as they are written', () => {
    let shown = 0;
    for (const command of createProgram().commands.flatMap(withSubcommands)) {
      for (const option of command.options.filter(({ flags }) =>
        /<(?:time|seconds)>/.test(flags),
      )) {
        const { defaultValue, defaultValueDescription = '' } = option;
        if (defaultValue === undefined) continue;
        assert.match(
          defaultValueDescription,
          /^\d{1,3}[smh]$/,
          `${command.name()} ${option.flags}`,
        );
        assert.equal(option.parseArg?.(defaultValueDescription, undefined), defaultValue);
        shown += 1;
      }
    }
    assert.ok(shown >= 8, String(shown));
  });

  for (const spelling of ['-n', '--namespace', '-i', '--mesh-namespace', '--istioNamespace']) {
    it(`takes ${spelling} for where Ambit is, or comes to be`, () => {
      for (const name of ['install', 'upgrade', 'uninstall', 'verify-install', 'check', 'status']) {
        const command = createProgram().commands.find((one) => one.name() === name);
        assert.ok(command, name);
        const isAsking = name === 'status';
        if (isAsking && (spelling === '-n' || spelling === '--namespace')) continue;
        command.parseOptions([spelling, 'mesh-here']);
        const { namespace, meshNamespace } = command.opts<Record<string, unknown>>();
        assert.equal(isAsking ? meshNamespace : namespace, 'mesh-here', name);
      }
    });
  }

  it('answers 0 to --help', async () => {
    const { stdout, code } = await runMeshctl(['why', '--help']);
    assert.match(stdout, /^Usage: meshctl why/);
    assert.equal(code, 0);
  });

  it('answers 2 to what is no command', async () => {
    assert.equal((await runMeshctl(['bogus'])).code, 2);
    assert.equal((await runMeshctl(['status', '--bogus'])).code, 2);
  });
});

function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}
