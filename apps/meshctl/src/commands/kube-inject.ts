/** `meshctl kube-inject`: for scripts that have it. There is nothing to inject, so what comes in goes out. */
import type { Command } from 'commander';
import { note } from '../output.ts';
import { readYamlFiles } from '../yaml-files.ts';

const EXAMPLES = `
Examples:
  meshctl kube-inject -f deployment.yaml | kubectl apply -f -
  kubectl get deploy reviews -o yaml | meshctl kube-inject -f -

Byte for byte; the reason is said on standard error. Exit code 0.`;

export function registerKubeInject(program: Command): void {
  program
    .command('kube-inject')
    .summary('pass YAML through: there is no sidecar to inject')
    .description(
      'Passes YAML through as it is. Pods join the mesh by the label of their namespace.',
    )
    .requiredOption('-f, --filename <file>', 'file, or - for standard input')
    .allowUnknownOption()
    .addHelpText('after', EXAMPLES)
    .action(({ filename }: { readonly filename: string }) => {
      for (const { text } of readYamlFiles([filename])) process.stdout.write(text);
      note(
        'kube-inject: nothing was changed, Ambit has no sidecars; enrol the namespace: meshctl enroll NAMESPACE',
      );
    });
}
