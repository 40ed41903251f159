/* The module: what it exports. It keeps no state of its own. */
#include "addon.h"

NAPI_MODULE_INIT() {
  if (!export_nsm(env, exports) || !export_clock(env, exports) || !export_child(env, exports)) {
    napi_throw_error(env, "ERR_ADDON", "the addon of odyn could not set itself up");
    return NULL;
  }
  return exports;
}
