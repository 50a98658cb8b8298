/** The grammar of path templates: `{*}` is one segment, `{**}` any rest; never mixed with a bare `*`. */

/** What is wrong with `path` as a path of a policy; undefined if nothing is. */
export function pathTemplateProblem(path: string): string | undefined {
  if (!path.includes('{*') && !path.includes('{')) return undefined;
  if (!/\{\*{1,2}\}/.test(path)) {
    return path.includes('}') ? 'has braces that are no {*} or {**}' : undefined;
  }
  const bare = path.replaceAll('{**}', '').replaceAll('{*}', '');
  if (bare.includes('*')) return 'mixes a template with a bare *';
  if (bare.includes('{') || bare.includes('}')) return 'has braces that are no {*} or {**}';
  const rest = path.indexOf('{**}');
  if (rest >= 0 && /\{\*{1,2}\}/.test(path.slice(rest + 4))) return 'has an operator after {**}';
  const isWhole = path
    .split('/')
    .every((segment) => !segment.includes('{') || segment === '{*}' || segment === '{**}');
  return isWhole ? undefined : 'has {*} or {**} beside other characters of a segment';
}
