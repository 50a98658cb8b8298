/**
 * Which names of the mesh a question may mean, in order of preference. Pure.
 *
 * A resolver appends search domains before it asks; the pod's own are known, so that the name without one is tried
 * too. Each name is also tried in the short forms that Kubernetes people write.
 */

export interface NameCandidate {
  /** Host name to look up; may begin with `*.`. */
  readonly hostname: string;
  readonly isWildcard: boolean;
  /** The question without its search domain, where one was taken off: what a CNAME points to. */
  readonly stripped?: string;
}

export interface NameContext {
  readonly clientNamespace: string;
  readonly clusterDomain: string;
}

/** `name` in lower case, without the final dot, at most 253 characters. */
export function* nameCandidates(name: string, context: NameContext): Iterable<NameCandidate> {
  for (const hostname of expansions(name, context)) {
    yield* withWildcards(hostname);
  }
  for (const domain of searchDomains(context)) {
    if (!name.endsWith(`.${domain}`)) {
      continue;
    }
    const stripped = name.slice(0, -domain.length - 1);
    for (const hostname of expansions(stripped, context)) {
      for (const candidate of withWildcards(hostname)) {
        yield { ...candidate, stripped };
      }
    }
  }
}

/** As Kubernetes writes them into a pod's resolv.conf. */
function searchDomains({ clientNamespace, clusterDomain }: NameContext): readonly string[] {
  return [`${clientNamespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

function expansions(
  name: string,
  { clientNamespace, clusterDomain }: NameContext,
): readonly string[] {
  const isService = name.endsWith('.svc');
  const namespaced = `${name}.${clientNamespace}.svc.${clusterDomain}`;
  switch (name.split('.').length) {
    case 1:
      return [name, namespaced];
    case 2:
      return [name, `${name}.svc.${clusterDomain}`, namespaced];
    case 3:
      return [
        name,
        ...(isService ? [`${name}.${clusterDomain}`] : []),
        `${name}.svc.${clusterDomain}`,
      ];
    case 4:
      return isService ? [name, `${name}.${clusterDomain}`] : [name];
    default:
      return [name];
  }
}

/** The name, then `*` for its first label, then for its first two, and so on. */
function* withWildcards(hostname: string): Iterable<NameCandidate> {
  yield { hostname, isWildcard: false };
  for (let dot = hostname.indexOf('.'); dot !== -1; dot = hostname.indexOf('.', dot + 1)) {
    yield { hostname: `*${hostname.slice(dot)}`, isWildcard: true };
  }
}
