/** Policies for tests: the least that the worker looks at, with what a test says instead. */
import { type CompiledPolicy, EMPTY_L4, type L4Match } from '@ambit/policy';

export { service, workload } from '@ambit/model/testing';

export function policy(
  name: string,
  action: CompiledPolicy['action'],
  match: Partial<L4Match>,
  changes: Partial<CompiledPolicy> = {},
): CompiledPolicy {
  return {
    name,
    namespace: 'shop',
    scope: 'NAMESPACE',
    action,
    dryRun: false,
    rules: [{ clauses: [{ matches: [{ l4: { ...EMPTY_L4, ...match } }], origin: 'from' }] }],
    ...changes,
  };
}
