/**
 * Which resources a NACK is about: `name: reason; name: reason`.
 *
 * Names and reasons may hold anything, so the names are looked for, not parsed out. If none of them is
 * there, nobody knows what was applied, and all count as refused.
 */
export function nackReasons(
  message: string,
  names: readonly string[],
): ReadonlyMap<string, string> {
  const starts: { readonly at: number; readonly name: string }[] = [];
  for (const name of names) {
    const at = message.startsWith(`${name}: `) ? 0 : message.indexOf(`; ${name}: `) + 2;
    if (at !== 1) {
      starts.push({ at, name });
    }
  }
  if (starts.length === 0) {
    return new Map(names.map((name) => [name, message]));
  }
  starts.sort((a, b) => a.at - b.at);
  return new Map(
    starts.map(({ at, name }, index) => {
      const end = starts[index + 1]?.at;
      const reason = message.slice(at + name.length + 2, end === undefined ? undefined : end - 2);
      return [name, reason];
    }),
  );
}
