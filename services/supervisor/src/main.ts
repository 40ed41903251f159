import { runService } from '@enclaver/bus/service';
import { chooseBackend } from './backends/choose.ts';
import { envSchema } from './config.ts';
import { Supervisor } from './supervisor.ts';
import { VERSION } from './version.ts';
import { EnclaveWatch } from './watch/enclave-watch.ts';

await runService({
  name: 'supervisor',
  version: VERSION,
  env: envSchema,
  start: async ({ bus, env, logger, metrics }) => {
    // Sockets of the machines are for this user only
    process.umask(0o077);
    const stopOnExit = env.ENCLAVER_STOP_ON_EXIT === '1';
    const { ENCLAVER_NSM_ROLE_ARN: roleArn, ENCLAVER_NSM_INSTANCE_ID: instanceId } = env;
    const parent = {
      ...(roleArn === undefined ? {} : { roleArn }),
      ...(instanceId === undefined ? {} : { instanceId }),
    };
    const backend = await chooseBackend(env, { rootDir: env.ENCLAVER_NSM_DIR, logger, ...parent }, logger);
    const lease = await bus.lease('supervisor', {
      folder: env.ENCLAVER_RUN_DIR,
      onLost: (error) => {
        throw error;
      },
    });
    const watch = EnclaveWatch.start({ bus, metrics, logger });
    const supervisor = new Supervisor({ bus, backend, logger, runDir: env.ENCLAVER_RUN_DIR, stopOnExit });
    await supervisor.start();
    await bus.serve('supervisor', VERSION, supervisor.handlers);
    return {
      close: async () => {
        await supervisor.close();
        await watch.close();
        await lease.release();
      },
      ...(env.ENCLAVER_EXIT_WITH_ENCLAVE === '1' ? { ended: supervisor.deserted } : {}),
    };
  },
});
