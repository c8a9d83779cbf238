/* system/log.html */
#pragma once
#include <stdio.h>
#define ESP_LOGE(tag, ...) ((void)(tag), (void)fprintf(stderr, __VA_ARGS__))
#define ESP_LOGI(tag, ...) ((void)(tag), (void)fprintf(stderr, __VA_ARGS__))
