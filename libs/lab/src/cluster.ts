/**
 * What a cluster does around a mesh: pods, service addresses, names, published objects. Driven by two things,
 * changed files and changed pods, and brought up to date in one pass for both.
 */
import { dirname, join, resolve } from 'node:path';
import type { Service } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { applyNft } from '@ambit/netns';
import { nodePodGateway, ServiceAddresses } from './addresses.ts';
import { Coalesced } from './coalesced.ts';
import type { DnsServer } from './dns-server.ts';
import { FolderWatch } from './folder-watch.ts';
import { type Manifest, type ManifestProblem, readManifests } from './manifests.ts';
import type { Mesh } from './mesh.ts';
import type { LabNetwork, LabNode } from './network.ts';
import type { LabPaths } from './paths.ts';
import type { LabPod, PodSurroundings } from './pod.ts';
import { PodSet } from './pod-set.ts';
import {
  agentObject,
  nodeObject,
  PublishedObjects,
  podObject,
  serviceObject,
} from './published.ts';
import { serviceRules } from './service-rules.ts';
import { clusterIPsOf, type NamedService, rulesOf, zoneOf } from './services.ts';
import { type PodPlan, planPods } from './workloads.ts';

/** Long enough to see the rest of what an editor or a test writes, short enough not to be noticed. */
const PASS_DELAY_MS = 15;

export interface ClusterOptions {
  readonly paths: LabPaths;
  readonly clock: Clock;
  readonly network: LabNetwork;
  readonly dns: DnsServer;
  readonly mesh: Mesh | undefined;
  readonly clusterDomain: string;
  /** Folders and files of YAML, a later one winning. */
  readonly sources: readonly string[];
  /** Where commands of objects run that no file of the user's holds. */
  readonly workingFolder: string;
  /** Names of the lab's own and of the person's. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #published: PublishedObjects;
  readonly #addresses = new ServiceAddresses();
  readonly #passes: Coalesced;
  readonly #watch: FolderWatch;
  readonly #suspended = new Set<string>();
  readonly #appliedRules = new Map<string, string>();
  readonly pods: PodSet;
  #areFilesNew = true;
  #manifests: readonly Manifest[] = [];
  #services: readonly NamedService[] = [];
  #plans: ReadonlyMap<string, PodPlan> = new Map();
  #problems: readonly ManifestProblem[] = [];
  /** Of the last pass; empty when it went well. */
  lastError = '';

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#published = new PublishedObjects(options.paths.objects);
    this.#passes = new Coalesced(options.clock, PASS_DELAY_MS, () => this.#pass());
    this.#watch = new FolderWatch(options.sources, () => this.filesChanged());
    this.pods = new PodSet({
      nodes: options.network.nodes,
      surroundings: (plan, node) => this.#surroundings(plan, node),
      onGone: (pod) => {
        void options.mesh?.podGone(pod);
        this.#passes.ask();
      },
    });
  }

  get plans(): ReadonlyMap<string, PodPlan> {
    return this.#plans;
  }

  get services(): readonly NamedService[] {
    return this.#services;
  }

  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  /** True when what the files ask for is what runs: every planned pod ready, and no other one left. */
  get isSettled(): boolean {
    const pods = this.pods.all;
    return (
      !this.#areFilesNew &&
      this.#problems.length === 0 &&
      this.lastError === '' &&
      pods.length === this.#plans.size &&
      pods.every((pod) => pod.isReady && this.#plans.get(pod.key)?.revision === pod.plan.revision)
    );
  }

  start(): void {
    this.#watch.start(this.#options.clock);
    this.#passes.ask();
  }

  filesChanged(): void {
    this.#areFilesNew = true;
    this.#passes.ask();
  }

  /** Scales what `owner` (`Deployment/ns/name`, `Pod/ns/name`) asks for to none, and back. */
  suspend(owner: string, isSuspended: boolean): void {
    if (isSuspended) {
      this.#suspended.add(owner);
    } else {
      this.#suspended.delete(owner);
    }
    this.filesChanged();
  }

  async stop(): Promise<void> {
    this.#watch.close();
    await this.#passes.close();
    await this.pods.stopAll();
  }

  async #pass(): Promise<void> {
    try {
      if (this.#areFilesNew) {
        this.#areFilesNew = false;
        this.#read();
      }
      this.pods.reconcile(this.#plans);
      this.#publish();
      await this.#applyRules();
      this.lastError = '';
    } catch (error) {
      this.lastError = error instanceof Error ? error.message : String(error);
    }
  }

  #read(): void {
    const { manifests, problems } = readManifests(this.#options.sources);
    this.#manifests = [...manifests.values()];
    const workloads = planPods(
      this.#manifests.filter(({ key }) => !this.#suspended.has(key)),
      (file) => this.#folderOf(file),
    );
    this.#plans = workloads.pods;
    this.#problems = [...problems, ...workloads.problems];
    const services = this.#manifests.flatMap(({ object }) =>
      object.kind === 'Service' ? [object] : [],
    );
    this.#releaseAddresses(services);
    this.#services = services.map((service) => ({
      service,
      clusterIPs: clusterIPsOf(service, this.#addresses),
    }));
  }

  /** Pods start where their YAML is, unless the lab wrote it. */
  #folderOf(file: string): string {
    const { paths, workingFolder } = this.#options;
    return file.startsWith(`${paths.root}/`) ? workingFolder : resolve(dirname(file));
  }

  #releaseAddresses(services: readonly Service[]): void {
    const names = new Set(services.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
    for (const { service } of this.#services) {
      const name = `${service.metadata.namespace}/${service.metadata.name}`;
      if (!names.has(name)) {
        this.#addresses.release(name);
      }
    }
  }

  #publish(): void {
    const { network, dns, clusterDomain, names } = this.#options;
    const objects = new Map<string, Readonly<Record<string, unknown>>>();
    for (const node of network.nodes) {
      objects.set(`Node.${node.name}`, nodeObject(node));
      if (this.#options.mesh !== undefined) {
        objects.set(`Pod.agent.${node.name}`, agentObject(node));
      }
    }
    for (const pod of this.pods.all.filter(({ addresses }) => addresses.length > 0)) {
      objects.set(`Pod.${pod.plan.namespace}.${pod.plan.name}`, podObject(pod));
    }
    const raws = new Map(this.#manifests.map(({ key, raw }) => [key, raw]));
    for (const { service, clusterIPs } of this.#services) {
      const { namespace, name } = service.metadata;
      const raw = raws.get(`Service/${namespace}/${name}`);
      if (raw !== undefined && clusterIPs.length > 0) {
        objects.set(`Service.${namespace}.${name}`, serviceObject(raw, clusterIPs));
      }
    }
    this.#published.replaceAll(objects);
    dns.update(zoneOf(this.#services, this.pods.all, { clusterDomain, extra: names }));
  }

  async #applyRules(): Promise<void> {
    const services = rulesOf(this.#services, this.pods.all);
    for (const node of this.#options.network.nodes) {
      const rules = serviceRules(services, nodePodGateway(node.index));
      if (this.#appliedRules.get(node.name) !== rules) {
        await applyNft(node.netns, rules);
        this.#appliedRules.set(node.name, rules);
      }
    }
  }

  #surroundings(plan: PodPlan, node: LabNode): PodSurroundings {
    const { paths, clock, clusterDomain, network, mesh } = this.#options;
    return {
      clock,
      clusterDomain,
      folder: join(paths.pods, `${plan.namespace}.${plan.name}`),
      logFolder: paths.logs,
      agent: mesh?.linkOf(node),
      addNetwork: async (where) => await network.addPod(where),
      waypoint: (pod: LabPod) => mesh?.waypointProgram(pod),
      onChange: () => this.#passes.ask(),
      published: async () => await this.#passes.done(),
    };
  }
}
