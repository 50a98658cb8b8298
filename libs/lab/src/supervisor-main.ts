/**
 * The process that holds a detached lab. Its one argument is `LabOptions` as JSON; it prints one JSON line an
 * event (`progress`, `ready`, `failed`), ends on SIGTERM, SIGINT or `/v1/down`, and takes the lab with it.
 */
import { ControlServer } from './control-server.ts';
import type { Lab } from './lab.ts';
import { type LabOptions, labStart } from './start.ts';

export type SupervisorEvent =
  | { readonly kind: 'progress'; readonly line: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

function tell(event: SupervisorEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function ignoreClosedPipe(): void {
  // Whoever started this may have gone; the lab stays.
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as LabOptions;
  process.stdout.on('error', ignoreClosedPipe);
  const lab = await labStart({
    ...options,
    onProgress: (line) => tell({ kind: 'progress', line }),
  });
  const control = new ControlServer(lab, () => void end(lab, control));
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => void end(lab, control));
  }
  await control.start();
  tell({ kind: 'ready' });
}

async function end(lab: Lab, control: ControlServer): Promise<void> {
  control.close();
  await lab.close();
  process.exit(0);
}

try {
  await main();
} catch (error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'LAB_INTERNAL';
  tell({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
