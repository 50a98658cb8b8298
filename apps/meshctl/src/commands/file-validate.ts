/** `meshctl validate -f`: what the controller would say of files, without a controller. */
import {
  type Finding,
  formatFinding,
  type ObjectKey,
  parseObject,
  parseYaml,
  type YamlDocument,
} from '@ambit/api';
import type { Command } from 'commander';
import { EXIT } from '../errors.ts';
import { type OutputFormat, printAs } from '../output.ts';
import { readYamlFiles, type YamlFile } from '../yaml-files.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl validate -f reviews.yaml
  meshctl validate -f manifests/ --strict
  kustomize build . | meshctl validate -f - -o json

Errors are what the mesh refuses; warnings are what it changes or cannot do.
Exit code 0: no errors. 1: errors, or with --strict also warnings.`;

interface ValidateOptions {
  readonly filename: readonly string[];
  readonly namespace?: string;
  readonly strict: boolean;
  readonly output: OutputFormat;
}

interface FileFinding extends Finding {
  readonly file: string;
  readonly line: number;
  readonly object?: ObjectKey;
}

interface Validation {
  readonly files: number;
  readonly objects: number;
  readonly findings: readonly FileFinding[];
}

export function registerValidate(program: Command): void {
  program
    .command('validate')
    .summary('check files before they are applied')
    .description('Checks files against the schema, the dialects and the rules of the mesh.')
    .requiredOption('-f, --filename <path...>', 'file, folder, or - for standard input')
    .option('-n, --namespace <name>', 'namespace of objects that name none')
    .option('--strict', 'warnings count as errors', false)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(fileValidate);
}

function fileValidate({ filename, namespace, strict, output }: ValidateOptions): void {
  const files = readYamlFiles(filename);
  const results = files.map((file) => validateFile(file, namespace));
  const validation: Validation = {
    files: files.length,
    objects: results.reduce((sum, { objects }) => sum + objects, 0),
    findings: results.flatMap(({ findings }) => findings),
  };
  printAs(output, validation, () => describe(validation));
  const isWrong = validation.findings.some(
    ({ severity }) => severity === 'error' || (strict && severity === 'warning'),
  );
  if (isWrong) process.exitCode = EXIT.finding;
}

function validateFile(
  { name, text }: YamlFile,
  namespace: string | undefined,
): Pick<Validation, 'objects' | 'findings'> {
  const parsed = parseYaml(text, { source: name });
  const ofYaml = parsed.findings.map((finding): FileFinding => ({ ...finding, file: name }));
  const ofObjects = parsed.documents.flatMap((document) =>
    validateDocument(document, name, namespace),
  );
  return { objects: parsed.documents.length, findings: [...ofYaml, ...ofObjects] };
}

function validateDocument(
  document: YamlDocument,
  file: string,
  namespace: string | undefined,
): readonly FileFinding[] {
  const context = namespace === undefined ? {} : { defaultNamespace: namespace };
  const { key, findings } = parseObject(document.value, context);
  return findings.map((finding) => ({
    ...finding,
    file,
    line: document.lineOf(finding.path),
    ...(key === undefined ? {} : { object: key }),
  }));
}

function describe({ files, objects, findings }: Validation): string {
  const lines = findings.map((finding) =>
    formatFinding(finding, { source: finding.file, line: finding.line, key: finding.object }),
  );
  const count = (severity: Finding['severity'], word: string): string => {
    const found = findings.filter((finding) => finding.severity === severity).length;
    return `${found} ${word}${found === 1 ? '' : 's'}`;
  };
  const summary = `${objects} object${objects === 1 ? '' : 's'} in ${files} file${files === 1 ? '' : 's'}: ${count('error', 'error')}, ${count('warning', 'warning')}`;
  return [...lines, summary].join('\n');
}
