/**
 * meshctl: how people use the mesh. Exit codes: 0 done, 1 a finding or something to correct, 2 wrong usage, 69 the
 * controller does not answer, 70 a bug of ours; a command that runs another one returns that one's.
 */
import { MeshError } from '@ambit/core';
import { abandonedConnections } from './admin-client.ts';
import { EXIT, formatUserError, UserError } from './errors.ts';
import { createProgram, isUsageEnd } from './program.ts';

/** A reader that goes away early (`meshctl get … | head`) ends the command, and is no fault. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

if (abandonedConnections() > 0) {
  // When what was written is out.
  process.stdout.write('', () => process.exit());
}

function exitCodeOf(error: unknown): number {
  if (isUsageEnd(error)) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof UserError) {
    process.stderr.write(formatUserError(error));
    return error.exitCode;
  }
  if (error instanceof MeshError) {
    process.stderr.write(`meshctl: ${error.message}\n`);
    return EXIT.finding;
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.bug;
}
