/* What odyn needs of the kernel and Node does not have. One file for each noun. */
#ifndef ENCLAVER_ODYN_ADDON_H
#define ENCLAVER_ODYN_ADDON_H

#include "values.h"

bool export_nsm(napi_env env, napi_value exports);
bool export_clock(napi_env env, napi_value exports);
bool export_child(napi_env env, napi_value exports);

#endif
