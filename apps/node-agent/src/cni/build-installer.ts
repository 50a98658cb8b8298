/** The installer of the CNI plugin, from the agent's settings. */
import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import type { AgentConfig } from '../config.ts';
import { CniInstaller } from './install/cni-installer.ts';
import { PLUGIN_TYPE } from './install/conflist.ts';
import { findPayload } from './install/plugin-files.ts';

/** Beside the mesh's own namespace: what a cluster needs to come up. */
const EXEMPT_NAMESPACE = 'kube-system';

/** Namespaces whose pods may start while nobody knows which namespaces are enrolled. */
export function exemptNamespaces(config: AgentConfig): readonly string[] {
  return [...new Set([EXEMPT_NAMESPACE, config.podNamespace])];
}

/** Undefined where the settings name no folder for it. */
export function buildInstaller(
  config: AgentConfig,
  around: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly isNeeded: () => boolean;
    /** Another agent serves this node now: what is on the host is its own. */
    readonly isSuperseded: () => boolean;
    readonly onChange: () => void;
  },
): CniInstaller | undefined {
  const { cni } = config;
  if (cni === undefined) {
    return undefined;
  }
  return new CniInstaller({
    ...around,
    places: cni,
    payload: () => findPayload(cni.payloadDir, process.execPath),
    arch: process.arch === 'arm64' ? 'arm64' : 'x64',
    entry: {
      type: PLUGIN_TYPE,
      runDir: config.runDir,
      exemptNamespaces: exemptNamespaces(config),
      agentPods: agentPods(config),
    },
  });
}

/** Pods of the same DaemonSet have one name but for the last part. */
function agentPods({ podNamespace, podName }: AgentConfig): string {
  const prefix = podName.slice(0, podName.lastIndexOf('-') + 1);
  return `${podNamespace}/${prefix === '' ? podName : prefix}`;
}
