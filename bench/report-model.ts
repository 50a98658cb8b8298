/** The model's part of the report: sizes and times of one process, with no peer to compare with. */

export interface ModelResult {
  readonly workloads: number;
  readonly services: number;
  readonly objects: number;
  readonly parseMs: number;
  readonly buildMs: readonly number[];
  readonly modelHeapBytes?: number;
  readonly proxy: {
    readonly resources: number;
    readonly protobufBytes: number;
    readonly protobufBytesPerResource: number;
    readonly encodeMs: number;
    readonly indexMs: number;
    readonly indexHeapBytes?: number;
  };
  readonly oneChange: Readonly<
    Record<
      string,
      {
        readonly ms: { readonly p50: number; readonly p99: number; readonly max: number };
        readonly resourcesPerChange: number;
      }
    >
  >;
  readonly machine: {
    readonly node: string;
    readonly cpu: string;
    readonly cores: number;
    readonly loadAverage: readonly number[];
    readonly commit: string;
  };
}

const MEBIBYTE = 1024 * 1024;
const CHANGES: Readonly<Record<string, string>> = {
  podReady: 'a pod becomes unready',
  podAdded: 'a pod is added',
  policy: 'a policy changes',
  namespaceLabel: 'a namespace is enrolled or released',
};

export function modelSection(result: ModelResult, file: string): string {
  const { proxy, machine } = result;
  const heap = (bytes: number | undefined): string =>
    bytes === undefined ? 'not measured' : `${(bytes / MEBIBYTE).toFixed(1)} MiB`;
  const changes = Object.entries(result.oneChange).map(
    ([name, { ms, resourcesPerChange }]) =>
      `| ${CHANGES[name] ?? name} | ${ms.p50.toFixed(2)} | ${ms.p99.toFixed(2)} | ${ms.max.toFixed(1)} | ${resourcesPerChange} |`,
  );
  return `## Model

\`bench/results/${file.slice(file.lastIndexOf('/') + 1)}\`, commit ${machine.commit}, Node ${machine.node}, ${machine.cores} cores (${machine.cpu}), load average ${machine.loadAverage[0]?.toFixed(1) ?? '-'}.

What the controller computes for ${result.workloads.toLocaleString('en')} workloads and ${result.services.toLocaleString('en')} services (${result.objects.toLocaleString('en')} objects), and what every proxy holds of it.

| | |
| --- | ---: |
| parse all objects, ms | ${result.parseMs.toFixed(0)} |
| build from nothing, ms (${result.buildMs.length} builds) | ${result.buildMs.map((ms) => ms.toFixed(0)).join(', ')} |
| heap of the model | ${heap(result.modelHeapBytes)} |
| resources that a proxy gets | ${proxy.resources.toLocaleString('en')} |
| their bytes on the wire | ${heap(proxy.protobufBytes)} (${proxy.protobufBytesPerResource} each) |
| encode all of them, ms | ${proxy.encodeMs.toFixed(0)} |
| index them in a proxy, ms | ${proxy.indexMs.toFixed(0)} |
| heap of that index | ${heap(proxy.indexHeapBytes)} |

| one change | P50, ms | P99, ms | most, ms | resources changed |
| --- | ---: | ---: | ---: | ---: |
${changes.join('\n')}`;
}
