# Warnings and hardening for every target; `wisp_library` and `wisp_program`
# are how a folder adds what it builds.

set(WISP_WARNINGS
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wimplicit-fallthrough -Wvla -Wformat=2 -Wswitch-enum -Wundef
    -Wpointer-arith -Wwrite-strings -Wcast-align=strict)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  list(REMOVE_ITEM WISP_WARNINGS -Wcast-align=strict)
  # KVM's tables are a header and an array behind it.
  list(APPEND WISP_WARNINGS -Wno-gnu-variable-sized-type-not-at-end)
endif()
option(WISP_WERROR "Warnings are errors" ON)
if(WISP_WERROR)
  list(APPEND WISP_WARNINGS -Werror)
endif()

set(WISP_HARDENING -fPIE -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
  list(APPEND WISP_HARDENING -fcf-protection=full)
endif()
if(WISP_SANITIZE)
  set(WISP_HARDENING -fPIE -fno-omit-frame-pointer -fno-strict-aliasing
      -fsanitize=${WISP_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WISP_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
  list(APPEND WISP_HARDENING -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()

if(WISP_FUZZ)
  # Coverage everywhere, so that the fuzzers see into the libraries.
  list(APPEND WISP_HARDENING -fsanitize=fuzzer-no-link)
endif()

add_compile_definitions(_GNU_SOURCE WISP_VERSION="${PROJECT_VERSION}")
add_compile_options(${WISP_HARDENING} -fvisibility=hidden)
# __FILE__ is the path from here: the log names and filters by it.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack -pie)

# wisp_library(NAME SOURCES... [DEPS libs...]): one static library per folder.
function(wisp_library name)
  cmake_parse_arguments(L "" "" "DEPS" ${ARGN})
  add_library(${name} STATIC ${L_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${WISP_WARNINGS})
  target_link_libraries(${name} PUBLIC ${L_DEPS})
endfunction()

# wisp_program(NAME SOURCES... [DEPS libs...]): an executable in build/bin.
function(wisp_program name)
  cmake_parse_arguments(P "" "" "DEPS" ${ARGN})
  add_executable(${name} ${P_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${WISP_WARNINGS})
  target_link_libraries(${name} PRIVATE ${P_DEPS})
endfunction()

# wisp_static(NAME): fully static, position independent, its relocations in the short form:
# a start reads them all.
function(wisp_static name)
  if(WISP_STATIC AND NOT WISP_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie -Wl,-z,pack-relative-relocs)
  endif()
endfunction()
