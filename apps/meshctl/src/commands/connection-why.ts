/** `meshctl why SRC DST[:PORT]`: each hop of a connection or request and what decides there. */
import { ExplainError, explain, renderExplanation } from '@ambit/explain';
import { type Command, InvalidArgumentError } from 'commander';
import { getSnapshot } from '../admin-answers.ts';
import { EXIT, UserError } from '../errors.ts';
import { type OutputFormat, printAs } from '../output.ts';
import { controllerOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl why productpage reviews -n shop
  meshctl why shop/productpage reviews --method POST --path /reviews/1
  meshctl why productpage reviews --header 'end-user: jason'
  meshctl why outside reviews.shop:80

SRC is a pod, Deployment or service account (NAMESPACE/NAME or NAME), an address, or "outside".
DST is a service, a pod (NAMESPACE/NAME) or an address; the port may be left out where there is one only.
Every decision is made by the code that runs in the agents and waypoints.
Exit code 0: allowed on every way. 1: refused, or refused on some ways.`;

interface WhyOptions {
  readonly namespace?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly output: OutputFormat;
}

export function registerWhy(program: Command): void {
  addTargetOptions(program.command('why'))
    .summary('explain a connection or request hop by hop')
    .description(
      'Explains what the mesh does with a connection or request, and because of which object.',
    )
    .argument('<source>', 'who calls')
    .argument('<destination>', 'who is called, with :PORT')
    .option('-n, --namespace <name>', 'namespace of names without one')
    .option('--method <method>', 'HTTP method')
    .option('--path <path>', 'HTTP path, with its query')
    .option('--header <header>', '"Name: value"; may be given several times', addHeader)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(connectionWhy);
}

async function connectionWhy(
  source: string,
  destination: string,
  options: WhyOptions,
  command: Command,
): Promise<void> {
  const { namespace, method, path, header, output } = options;
  const target = splitPort(destination);
  const snapshot = await getSnapshot(await controllerOf(command));
  try {
    const explanation = explain(
      {
        source,
        destination: target.host,
        ...(target.port === undefined ? {} : { port: target.port }),
        ...(namespace === undefined ? {} : { namespace }),
        ...(method === undefined ? {} : { method }),
        ...(path === undefined ? {} : { path }),
        ...(header === undefined ? {} : { headers: header }),
      },
      snapshot,
    );
    printAs(output, explanation, () => renderExplanation(explanation));
    if (explanation.verdict !== 'allowed') process.exitCode = EXIT.finding;
  } catch (error) {
    if (!(error instanceof ExplainError)) throw error;
    throw new UserError(error.message, {
      fix: 'meshctl get workloads and meshctl get services show what there is',
      cause: error,
    });
  }
}

/** `host`, `host:80`, `10.0.0.1:80`, `[fd00::1]:80`, `fd00::1`. */
export function splitPort(text: string): { readonly host: string; readonly port?: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  if (match === null) {
    if (text.includes(':') && !text.includes('[')) return { host: text };
    throw usage(`"${text}" is no destination`, 'write NAME:PORT, ADDRESS:PORT or [IPV6]:PORT');
  }
  const host = match[1] ?? match[2] ?? '';
  if (match[3] === undefined) return { host };
  const port = Number(match[3]);
  if (port < 1 || port > 65535) throw usage(`port ${match[3]} does not exist`, 'use 1 to 65535');
  return { host, port };
}

function addHeader(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon).trim();
  if (colon < 1 || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    throw new InvalidArgumentError('write it as "Name: value".');
  }
  return { ...before, [name.toLowerCase()]: text.slice(colon + 1).trim() };
}

function usage(message: string, fix: string): UserError {
  return new UserError(message, { fix, exitCode: EXIT.usage });
}
