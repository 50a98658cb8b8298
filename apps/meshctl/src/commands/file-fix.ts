/** `meshctl fix -f`: dialects and fixable mistakes in the official form; comments stay. */
import { writeFileSync } from 'node:fs';
import { formatFinding, rewriteDocument } from '@ambit/api';
import type { Command } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { note, print } from '../output.ts';
import { readYamlFiles } from '../yaml-files.ts';

const EXAMPLES = `
Examples:
  meshctl fix -f reviews.yaml            the corrected text, to standard output
  meshctl fix -f manifests/ --write      in place
  meshctl fix -f manifests/ --check      changes nothing; for CI

Exit code 0: done, or nothing to do. 1: with --check, something would change.`;

interface FixOptions {
  readonly filename: readonly string[];
  readonly write: boolean;
  readonly check: boolean;
}

export function registerFix(program: Command): void {
  program
    .command('fix')
    .summary('rewrite dialects and fixable mistakes')
    .description('Writes what people have copied from old articles in the official form.')
    .requiredOption('-f, --filename <path...>', 'file, folder, or - for standard input')
    .option('-w, --write', 'change the files', false)
    .option('--check', 'only say what would change', false)
    .addHelpText('after', EXAMPLES)
    .action(fileFix);
}

function fileFix({ filename, write, check }: FixOptions): void {
  if (write && check) {
    throw new UserError('--write and --check exclude each other', { exitCode: EXIT.usage });
  }
  if (write && filename.includes('-')) {
    throw new UserError('standard input cannot be written to', {
      fix: 'leave --write out: the text goes to standard output',
      exitCode: EXIT.usage,
    });
  }
  let changed = 0;
  for (const { name, text } of readYamlFiles(filename)) {
    const result = rewriteDocument(text);
    for (const finding of result.findings) note(formatFinding(finding, { source: name }));
    if (!write && !check) print(result.text);
    if (result.text === text) continue;
    changed += 1;
    if (write) writeFileSync(name, result.text);
  }
  if (write || check)
    note(`${changed} file${changed === 1 ? '' : 's'} ${write ? 'changed' : 'would change'}`);
  if (check && changed > 0) process.exitCode = EXIT.finding;
}
