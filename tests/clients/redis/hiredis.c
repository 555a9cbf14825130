/* hiredis, the library under redis-cli and many others. usage: hiredis PORT */

#include <hiredis/hiredis.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static redisReply *ask(redisContext *context, const char *command) {
    redisReply *reply = redisCommand(context, command);
    assert(reply != NULL);
    return reply;
}

int main(int count, char **words) {
    assert(count == 2);
    redisContext *context = redisConnect("127.0.0.1", atoi(words[1]));
    assert(context != NULL && context->err == 0);
    const char *statuses[][2] = {
        {"PING", "PONG"}, {"SET {hiredis}s value", "OK"}, {"GET {hiredis}s", "value"}};
    for (size_t row = 0; row < 3; row++) {
        redisReply *reply = ask(context, statuses[row][0]);
        assert(strcmp(reply->str, statuses[row][1]) == 0);
        freeReplyObject(reply);
    }
    redisReply *reply = ask(context, "MGET {hiredis}s missing");
    assert(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    assert(reply->element[1]->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    for (int number = 0; number < 100; number++) {
        assert(redisAppendCommand(context, "INCR {hiredis}n") == REDIS_OK);
    }
    for (int number = 1; number <= 100; number++) {
        assert(redisGetReply(context, (void **)&reply) == REDIS_OK);
        assert(reply->integer == number);
        freeReplyObject(reply);
    }
    reply = ask(context, "DEL {hiredis}s {hiredis}n");
    assert(reply->integer == 2);
    freeReplyObject(reply);
    redisFree(context);
    return 0;
}
