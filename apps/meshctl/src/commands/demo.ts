/** `meshctl demo`: a bookshop on two nodes, told as a story in which every line is something that was seen. */
import { ControlServer, type Lab, labStart } from '@ambit/lab';
import type { Command } from 'commander';
import { Paper } from './demo-paint.ts';
import { BOOKSHOP, Shop } from './demo-shop.ts';
import { type Scene, STORY } from './demo-story.ts';
import { becomeRoot } from './lab-privileges.ts';
import { labTarget, table } from './lab-target.ts';

const NAME = 'demo';
const READY_MS = 30_000;
const EXIT_FAILED = 1;
const EXIT_INTERRUPTED = 130;

const EXAMPLES = `
Examples:
  npm run demo
  npm run demo -- --once

Stays up until Ctrl-C, unless --once. Leaves nothing behind. Exit code 1 when a step does not see what it should.
Needs root, or user namespaces.`;

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .summary('a guided tour on this machine')
    .description(
      'Runs a bookshop on two nodes of this machine and shows what the mesh does for it.',
    )
    .option('--once', 'end after the last step', false)
    .addHelpText('after', EXAMPLES)
    .action(demo);
}

async function demo({ once }: { readonly once: boolean }): Promise<void> {
  becomeRoot();
  const { root } = labTarget(NAME);
  const hasColor = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
  const paper = new Paper({ write: (text) => process.stdout.write(text), hasColor });
  const interrupted = Promise.withResolvers<'interrupted'>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interrupted.resolve('interrupted'));
  }
  paper.line(
    `${paper.style('bold', 'Ambit')}: a bookshop on two nodes, each a network namespace of this machine.`,
  );
  const lab = await labStart({ name: NAME, root, folder: BOOKSHOP });
  const control = new ControlServer(lab, () => interrupted.resolve('interrupted'));
  try {
    await control.start();
    const outcome = await Promise.race([tell(lab, paper), interrupted.promise]);
    if (outcome === 'told' && !once) {
      invite(paper, lab);
      await interrupted.promise;
    }
    process.exitCode = { told: 0, failed: EXIT_FAILED, interrupted: EXIT_INTERRUPTED }[outcome];
  } finally {
    control.close();
    await lab.close();
    paper.line('The lab is gone; nothing is left.');
  }
}

async function tell(lab: Lab, paper: Paper): Promise<'told' | 'failed'> {
  const scene: Scene = { lab, paper, shop: new Shop(lab) };
  const startedAt = lab.clock.now();
  try {
    await lab.ready(READY_MS);
  } catch (error) {
    paper.failed(error instanceof Error ? error.message : String(error));
    return 'failed';
  }
  paper.line(
    `Up after ${seconds(lab, startedAt).toFixed(1)} s: a controller, an agent a node, ${lab.status().pods.length} pods.`,
  );
  for (const [i, step] of STORY.entries()) {
    const stepStartedAt = lab.clock.now();
    paper.heading(i + 1, STORY.length, step.title);
    try {
      await step.play(scene);
    } catch (error) {
      paper.failed(error instanceof Error ? error.message : String(error));
      return 'failed';
    }
    paper.done(seconds(lab, stepStartedAt));
  }
  paper.line();
  paper.line(
    `All ${STORY.length} steps saw what they should, in ${seconds(lab, startedAt).toFixed(0)} s.`,
  );
  return 'told';
}

function seconds(lab: Lab, since: number): number {
  return (lab.clock.now() - since) / 1_000;
}

function invite(paper: Paper, lab: Lab): void {
  const meshctl = 'npm run -s meshctl --';
  const rows = [
    [
      'ask something',
      `${meshctl} lab exec --name ${NAME} client -- node client.mjs http://productpage/`,
    ],
    ['what runs', `${meshctl} lab status --name ${NAME}`],
    ['the mesh', `${meshctl} status`],
    ['workloads', `${meshctl} get workloads`],
    ['why', `${meshctl} why shop/client reviews.shop:80`],
    ['logs', `${meshctl} lab logs --name ${NAME} agent/node1 -f`],
    ['change it', `edit or add YAML in ${lab.folder}`],
  ];
  paper.line();
  paper.line('It stays up until Ctrl-C. In another terminal:');
  paper.line(table(['', ''], rows).trimStart());
}
