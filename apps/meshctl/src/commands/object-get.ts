/** `meshctl get WHAT [NAME]`: what the mesh is made of, and what it says about each object. */
import { Argument, type Command } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { findKind, kindNames } from '../kinds.ts';
import type { OutputFormat } from '../output.ts';
import { controllerOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { getCertificatesView } from './certificate-get.ts';
import type { GetQuery } from './get-query.ts';
import { getKindView, getPoliciesView, getRoutesView } from './object-views.ts';
import { getProxiesView } from './proxy-get.ts';
import { getServicesView } from './service-get.ts';
import { namespaceOption, outputOption } from './shared-options.ts';
import { getWorkloadsView } from './workload-get.ts';

const EXAMPLES = `
Examples:
  meshctl get workloads -n shop
  meshctl get policies
  meshctl get virtualservice reviews -n shop
  meshctl get certificates -o json

WHAT is workloads, services, policies, routes, certificates, proxies, or a kind of object
(virtualservice, vs, destinationrules, httproute, authorizationpolicy, pod, …).
With NAME, an object's conditions and findings are shown; -o yaml shows it in its official form.
Exit code 1: nothing of that name.`;

/** Named lists; everything else is a kind. */
const VIEWS: ReadonlyMap<string, (query: GetQuery) => Promise<void>> = new Map([
  ['workload', getWorkloadsView],
  ['workloads', getWorkloadsView],
  ['service', getServicesView],
  ['services', getServicesView],
  ['svc', getServicesView],
  ['policy', getPoliciesView],
  ['policies', getPoliciesView],
  ['route', getRoutesView],
  ['routes', getRoutesView],
  ['certificate', getCertificatesView],
  ['certificates', getCertificatesView],
  ['certs', getCertificatesView],
  ['proxy', getProxiesView],
  ['proxies', getProxiesView],
]);

/** For completion. */
export const GET_WORDS: readonly string[] = [
  'workloads',
  'services',
  'policies',
  'routes',
  'certificates',
  'proxies',
  ...kindNames().map(({ kind }) => kind.toLowerCase()),
];

export function registerGet(program: Command): void {
  addTargetOptions(program.command('get'))
    .summary('show workloads, services, policies, routes, certificates, proxies or objects')
    .description('Shows what the mesh is made of, and the conditions of objects.')
    .addArgument(new Argument('<what>', 'a list or a kind of object'))
    .addArgument(new Argument('[name]', 'only this one; NAMESPACE/NAME works too'))
    .addOption(namespaceOption())
    .option('-A, --all-namespaces', 'of all namespaces, which is the default', false)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(objectGet);
}

interface GetOptions {
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  readonly output: OutputFormat;
}

async function objectGet(
  what: string,
  name: string | undefined,
  options: GetOptions,
  command: Command,
): Promise<void> {
  const view = viewOf(what);
  const slash = name?.indexOf('/') ?? -1;
  const namespace = slash > 0 ? name?.slice(0, slash) : options.namespace;
  await view({
    client: await controllerOf(command),
    output: options.output,
    ...(name === undefined ? {} : { name: name.slice(slash + 1) }),
    ...(namespace === undefined || options.allNamespaces ? {} : { namespace }),
  });
}

function viewOf(what: string): (query: GetQuery) => Promise<void> {
  const view = VIEWS.get(what.toLowerCase());
  if (view !== undefined) return view;
  const kind = findKind(what);
  if (kind === undefined) {
    throw new UserError(`there is nothing called "${what}"`, {
      fix: `one of ${GET_WORDS.join(', ')}`,
      exitCode: EXIT.usage,
    });
  }
  return (query) => getKindView(kind, query);
}
