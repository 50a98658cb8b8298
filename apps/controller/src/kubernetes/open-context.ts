/** The way to the cluster's API server. */
import { createKubeMetrics, Discovery, KubeClient, KubeHttp, loadKubeconfig } from '@ambit/kube';
import type { Surroundings } from '../parts.ts';
import { VERSION } from '../version.ts';
import type { KubernetesContext } from './context.ts';
import type { KubernetesSettings } from './settings.ts';

/** Talks to nobody yet. Throws KUBE_CONFIG_INVALID. */
export function openContext(
  { kubeconfig: path, namespace, podName }: KubernetesSettings,
  { clock, log, registry }: Surroundings,
): KubernetesContext {
  const kubeconfig = loadKubeconfig({
    ...(path === '' ? {} : { path }),
    // Where the cluster is: KUBECONFIG, or what the kubelet sets.
    environment: process.env,
    clock,
  });
  const credentials = kubeconfig.credentials();
  const http = new KubeHttp({ credentials, clock, userAgent: `ambit-controller/${VERSION}` });
  return {
    http,
    client: new KubeClient({ http }),
    discovery: new Discovery({ http, clock }),
    metrics: createKubeMetrics(registry),
    clock,
    log,
    namespace,
    podName,
  };
}
