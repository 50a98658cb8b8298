/** `exportTo`: from which namespaces an object is seen. */

/** Empty means everywhere. `.` is the object's own namespace, `~` nobody. */
export function exportedTo(
  exportTo: readonly string[],
  ownNamespace: string,
): ReadonlySet<string> | 'all' {
  if (exportTo.length === 0 || exportTo.includes('*')) return 'all';
  return new Set(
    exportTo
      .filter((entry) => entry !== '~')
      .map((entry) => (entry === '.' ? ownNamespace : entry)),
  );
}

export function isExportedTo(
  exportTo: readonly string[],
  ownNamespace: string,
  namespace: string,
): boolean {
  const namespaces = exportedTo(exportTo, ownNamespace);
  return namespaces === 'all' || namespaces.has(namespace);
}
