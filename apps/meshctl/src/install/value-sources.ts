/** Where values come from, in order: the profile, files (-f), assignments (--set). Later ones win. */
import { parseAllDocuments } from 'yaml';
import { UserError } from '../errors.ts';
import { readYamlFiles, type YamlFile } from '../yaml-files.ts';
import { checkValues, defaultValues, formatValueProblem } from './check-values.ts';
import { isIstioOperator, type MappedOperator, mapIstioOperator } from './istio-operator.ts';
import { PROFILE_NAMES, PROFILES, type ProfileName } from './profiles.ts';
import { isMap, type JsonMap, mergeValues, parseSet } from './values.ts';

export interface ValueSources {
  readonly profile?: string | undefined;
  readonly files: readonly string[];
  readonly sets: readonly string[];
  /** What a former installation was given, below all others but the profile. */
  readonly former?: JsonMap | undefined;
}

export interface GivenValues {
  readonly profile: ProfileName;
  /** What people said beyond profile and defaults; kept for the next upgrade. */
  readonly own: JsonMap;
  /** Everything, checked. */
  readonly values: JsonMap;
  /** Of an IstioOperator. */
  readonly namespace: string | undefined;
  readonly ignored: MappedOperator['ignored'];
}

/** Throws a UserError that names every problem. */
export function readValues({ profile, files, sets, former = {} }: ValueSources): GivenValues {
  const read = (files.length === 0 ? [] : readYamlFiles(files)).flatMap(readFile);
  const operator = read.findLast((one) => one.profile !== undefined);
  const chosen = parseProfile(profile ?? operator?.profile ?? 'default');
  const own = mergeValues(former, ...read.map((one) => one.values), ...sets.map(parseSet));
  const values = mergeValues(defaultValues(), PROFILES[chosen].values, own);
  const problems = checkValues(values);
  if (problems.length > 0) {
    throw new UserError(
      `${problems.length} ${problems.length === 1 ? 'value is' : 'values are'} wrong`,
      {
        why: problems.map(formatValueProblem).join('\n       '),
        fix: 'docs/install.md lists all values',
      },
    );
  }
  return {
    profile: chosen,
    own,
    values,
    namespace: read.findLast((one) => one.namespace !== undefined)?.namespace,
    ignored: read.flatMap((one) => one.ignored),
  };
}

function readFile({ name, text }: YamlFile): readonly MappedOperator[] {
  // YAML 1.1, because Helm reads the same files so: `on` is true there.
  const documents = parseAllDocuments(text, { version: '1.1' });
  return [...documents].flatMap((document): readonly MappedOperator[] => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw new UserError(`cannot read "${name}"`, { why: error.message });
    }
    const content: unknown = document.toJS({ maxAliasCount: 100 });
    if (content === null || content === undefined) return [];
    if (isIstioOperator(content)) return [mapIstioOperator(content, name)];
    if (!isMap(content) || typeof content['kind'] === 'string') {
      throw new UserError(`"${name}" holds no values`, {
        why: `found ${JSON.stringify(content).slice(0, 80)}, allowed: a map of values, or an IstioOperator`,
        fix: 'manifests/chart/values.yaml shows all values',
      });
    }
    return [{ profile: undefined, namespace: undefined, values: content, ignored: [] }];
  });
}

function parseProfile(name: string): ProfileName {
  const found = PROFILE_NAMES.find((known) => known === name);
  if (found !== undefined) return found;
  throw new UserError(`there is no profile "${name.slice(0, 80)}"`, {
    fix: `choose one of ${PROFILE_NAMES.join(', ')}`,
  });
}
