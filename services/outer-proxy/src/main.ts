import { runService, serviceEnvSchema } from '@enclaver/bus/service';
import { OuterProxy } from './outer-proxy.ts';
import { VERSION } from './version.ts';

await runService({
  name: 'outer-proxy',
  version: VERSION,
  env: serviceEnvSchema,
  start: async ({ bus, logger }) => {
    // The egress sockets are for this user's machines only
    process.umask(0o077);
    const proxy = new OuterProxy(bus, logger);
    await proxy.start();
    await bus.announce('outer-proxy', VERSION);
    return proxy;
  },
});
